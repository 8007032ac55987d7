package main

import "github.com/spf13/cobra"

// helpTopics are help pages that do not belong to a command.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "processes", Short: "How to name processes", Long: processesHelp},
		{Use: "orders", Short: "What orders do and require", Long: ordersHelp},
		{Use: "environment", Short: "Environment variables and files", Long: environmentHelp},
		{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesText},
	}
}

const environmentHelp = `Variables:

  SWITCHGEAR_ACTOR          who gives the orders, unless --actor is given
  SWITCHGEAR_AUTHORIZATION  sent to a URL as the header Authorization
  SWITCHGEAR_RUNTIME_DIR    the parent folder of the sockets' folder, here and
                            in the programs; otherwise XDG_RUNTIME_DIR;
                            otherwise /run for root, and switchgear-UID in the
                            folder for temporary files for other users. If it
                            is set, only processes in it are found
  SWITCHGEAR_NOTIFY_...     secrets of webhooks, see switchgear help notify
  NO_COLOR                  if set to any value: no colours. Output that is
                            not a terminal has no colours either

Files:

  RUNTIME_DIR/switchgear/PID.sock   the socket of a process, mode 0600 in a
                                    folder of mode 0700
  /tmp/breaker/PID.in and PID.out   the named pipe of a process and its reply,
                                    unless its program has chosen other paths.
                                    ps finds it there, or in
                                    SWITCHGEAR_RUNTIME_DIR/breaker if that is set`

// footer is printed below the help of each command.
const footer = `{{if .Runnable}}
Exit codes: 0 done, 1 refused, 2 usage, 3 unreachable, 4 partly, 5 audit log
damaged (switchgear help exit-codes).
{{end}}`
