package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand is for those who package the program.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages",
		Long:    "Write the manual pages, one for each command, into the folder DIR.",
		Example: "  switchgear man /usr/local/share/man/man1",
		Hidden:  true,
		Args:    exactly(1, "a folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
				return usage("switchgear man: %s is not a folder", args[0])
			}
			return writeManual(rootCommand(), args[0])
		},
	}
}

// writeManual writes the page of a command and of its subcommands. Pages
// contain no date, so that a build always writes the same pages.
func writeManual(cmd *cobra.Command, dir string) error {
	cmd.InitDefaultHelpFlag()
	page := manPage(cmd)
	if err := os.WriteFile(filepath.Join(dir, pageName(cmd)+".1"), []byte(page), 0o644); err != nil {
		return refused("%w", err)
	}
	for _, sub := range cmd.Commands() {
		if !hasPage(sub) {
			continue
		}
		if err := writeManual(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// hasPage reports whether a command has its own page: help topics are part of
// the first page.
func hasPage(cmd *cobra.Command) bool {
	return !cmd.Hidden && (cmd.Runnable() || cmd.HasSubCommands()) && cmd.Name() != "help" && cmd.Name() != "completion"
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage returns a page in the macros of man(7), with the sections that
// readers of manual pages expect.
func manPage(cmd *cobra.Command) string {
	m := &roff{}
	root := !cmd.HasParent()
	m.line(`.TH "%s" 1 "" "Switchgear" "Switchgear manual"`, strings.ToUpper(pageName(cmd)))
	m.section("NAME")
	m.text(pageName(cmd) + ` \- ` + escape(lowerFirst(cmd.Short)))
	m.section("SYNOPSIS")
	m.text(synopsis(cmd))
	m.section("DESCRIPTION")
	m.prose(cmd.Long)
	if root {
		m.section("COMMANDS")
		for _, group := range cmd.Groups() {
			m.line(".SS %s", strings.TrimSuffix(group.Title, ":"))
			for _, sub := range cmd.Commands() {
				if sub.GroupID == group.ID && hasPage(sub) {
					m.item(reference(sub), escape(sub.Short)+".")
				}
			}
		}
	} else if cmd.HasAvailableSubCommands() {
		m.section("COMMANDS")
		for _, sub := range cmd.Commands() {
			if hasPage(sub) {
				m.item(reference(sub), escape(sub.Short)+".")
			}
		}
	}
	m.options("OPTIONS", cmd.LocalFlags())
	m.options("GLOBAL OPTIONS", cmd.InheritedFlags())
	if cmd.Example != "" {
		m.section("EXAMPLES")
		m.literal(strings.Split(cmd.Example, "\n"))
	}
	if root {
		for _, topic := range helpTopics() {
			title := strings.ToUpper(topic.Short)
			if name := standardTitles[topic.Name()]; name != "" {
				title = name
			}
			m.section(title)
			m.prose(topic.Long)
		}
	} else {
		m.section("EXIT STATUS")
		m.text(`0 done, 1 refused, 2 usage, 3 unreachable, 4 partly, 5 audit log damaged; see \fBswitchgear\fP(1).`)
	}
	m.section("SEE ALSO")
	m.text(strings.Join(seeAlso(cmd), ", "))
	return m.String()
}

// standardTitles are the names of help topics as sections of a manual page.
var standardTitles = map[string]string{"environment": "ENVIRONMENT AND FILES", "exit-codes": "EXIT STATUS"}

func reference(cmd *cobra.Command) string { return `\fB` + escape(pageName(cmd)) + `\fP(1)` }

func seeAlso(cmd *cobra.Command) (all []string) {
	if cmd.HasParent() {
		all = append(all, reference(cmd.Parent()))
		for _, sub := range cmd.Parent().Commands() {
			if sub != cmd && hasPage(sub) && sub.GroupID == cmd.GroupID {
				all = append(all, reference(sub))
			}
		}
	}
	for _, sub := range cmd.Commands() {
		if hasPage(sub) {
			all = append(all, reference(sub))
		}
	}
	return all
}

// synopsis shows the command in bold, and what the user fills in in italics.
func synopsis(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return `\fBswitchgear\fP \fIcommand\fP [\fIoptions\fP] [\fIarguments\fP]`
	}
	out := `\fB` + escape(cmd.CommandPath()) + `\fP`
	if cmd.HasAvailableSubCommands() {
		return out + ` \fIcommand\fP [\fIoptions\fP] [\fIarguments\fP]`
	}
	if cmd.HasAvailableLocalFlags() {
		out += ` [\fIoptions\fP]`
	}
	_, rest, _ := strings.Cut(cmd.Use, " ")
	return out + " " + argument.ReplaceAllStringFunc(escape(rest), func(word string) string { return `\fI` + word + `\fP` })
}

var argument = regexp.MustCompile(`[A-Z]+`)

// roff builds a manual page.
type roff struct{ strings.Builder }

func (m *roff) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

func (m *roff) section(title string) { m.line(".SH %s", escape(title)) }

// text writes text that is escaped already.
func (m *roff) text(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text // it would be a request
	}
	m.line("%s", text)
}

func (m *roff) item(term, text string) {
	m.line(".TP")
	m.text(term)
	m.text(text)
}

func (m *roff) literal(lines []string) {
	m.line(".RS 4\n.nf")
	for _, line := range lines {
		m.text(escape(strings.TrimPrefix(line, "  ")))
	}
	m.line(".fi\n.RE")
}

func (m *roff) options(title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	m.section(title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		term := `\fB` + escape("--"+f.Name) + `\fP`
		if f.Shorthand != "" {
			term = `\fB` + escape("-"+f.Shorthand) + `\fP, ` + term
		}
		if value != "" {
			term += ` \fI` + escape(value) + `\fP`
		}
		usage = strings.Join(strings.Fields(usage), " ")
		switch {
		case f.DefValue == "", f.DefValue == "0", f.DefValue == "0s", f.DefValue == "[]", f.DefValue == "false", strings.Contains(usage, "(default"):
		default:
			usage += " (default " + f.DefValue + ")"
		}
		m.item(term, escape(upperFirst(usage))+".")
	})
}

// described matches a line such as " -p 1234 the process with this number".
var described = regexp.MustCompile(`^  (\S.*?) {2,}(\S.*)$`)

// prose writes the text of a help page: paragraphs, and lists of indented
// terms with their descriptions.
func (m *roff) prose(text string) {
	for i, block := range strings.Split(text, "\n\n") {
		if i > 0 {
			m.line(".PP")
		}
		lines := strings.Split(block, "\n")
		for len(lines) > 0 && !strings.HasPrefix(lines[0], "  ") {
			m.text(escape(lines[0]))
			lines = lines[1:]
		}
		if len(lines) > 0 {
			m.list(lines)
		}
	}
}

// list writes indented lines: as terms with descriptions if they have two
// columns, or else unchanged.
func (m *roff) list(lines []string) {
	var items [][2]string
	for _, line := range lines {
		parts := described.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "   ") && len(items) > 0: // a continuation line
			items[len(items)-1][1] += " " + strings.TrimSpace(line)
		case parts == nil:
			m.literal(lines)
			return
		default:
			items = append(items, [2]string{parts[1], parts[2]})
		}
	}
	for _, item := range items {
		m.item(`\fB`+escape(item[0])+`\fP`, escape(item[1]))
	}
}

// escape escapes what has a meaning in roff. A hyphen stays a minus sign, so
// that it can be copied into a shell.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(text)
}

func lowerFirst(text string) string { return strings.ToLower(text[:1]) + text[1:] }
func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
