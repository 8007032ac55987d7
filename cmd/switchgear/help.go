package main

import "github.com/spf13/cobra"

// helpTopics are pages of help that belong to no command.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "processes", Short: "How to name processes", Long: processesHelp},
		{Use: "orders", Short: "What orders ask of you", Long: ordersHelp},
		{Use: "environment", Short: "Which variables and files play a part", Long: environmentHelp},
		{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesText},
	}
}

const environmentHelp = `Variables:

  SWITCHGEAR_ACTOR          who gives the orders, where --actor does not say
  SWITCHGEAR_AUTHORIZATION  sent to a URL as the header Authorization
  SWITCHGEAR_RUNTIME_DIR    the folder above that of the sockets, here and in
                            the programs; otherwise XDG_RUNTIME_DIR; otherwise
                            /run for root, and for others switchgear-UID in the
                            folder for temporary files. Where it is set, no
                            processes but those in it are found
  SWITCHGEAR_NOTIFY_...     secrets of webhooks, see switchgear help notify
  NO_COLOR                  whatever its value: no colours. There are none,
                            either, where the output is not a terminal

Files:

  RUNTIME_DIR/switchgear/PID.sock   the socket of a process, mode 0600 in a
                                    folder of mode 0700
  /tmp/breaker/PID.in and PID.out   the named pipe of a process and its reply,
                                    where its program has not said otherwise.
                                    ps finds it there, or in
                                    SWITCHGEAR_RUNTIME_DIR/breaker if that is set`

// footer stands below the help of each command.
const footer = `{{if .Runnable}}
Exit codes: 0 done, 1 refused, 2 usage, 3 unreachable, 4 partly, 5 audit log
damaged (switchgear help exit-codes).
{{end}}`
