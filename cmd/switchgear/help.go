package main

import "github.com/spf13/cobra"

// helpTopics are pages of help that belong to no command.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "processes", Short: "How to name processes", Long: processesHelp},
		{Use: "orders", Short: "What orders ask of you", Long: ordersHelp},
		{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesText},
	}
}
