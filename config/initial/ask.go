package initial

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sluice/config"
	"sluice/dataplane"
)

// ErrEnded is what is wrong when the answers end before the questions do.
var ErrEnded = errors.New("the answers ended before the questions did")

// Asker asks on Out and reads answers, a line each, from In.
type Asker struct {
	In      *bufio.Reader
	Out     io.Writer
	Machine Machine
}

// Ask asks for everything, with what a has as what an empty line means. What is wrong with
// an answer is said, and it is asked again. The error wraps ErrEnded or is one of In's.
func (k *Asker) Ask(a Answers) (Answers, error) {
	// In the order in which the configuration is checked: what is found first is in what
	// has just been answered, or in what is still to be asked for.
	err := k.text("Host and port of the API", a.Listen, "listen", &a, func(a *Answers, s string) { a.Listen = s })
	if err == nil {
		err = k.askRegions(&a)
	}
	if err != nil {
		return a, err
	}
	k.tell("\nThe public network, where elastic IPs come from. This machine has:\n%s", k.Machine.table())
	for i := 0; ; i++ {
		if i == len(a.Public) {
			more, err := k.another(&a)
			if err != nil {
				return a, err
			}
			if !more {
				return a, nil
			}
		}
		if err := k.askPublic(&a, i); err != nil {
			return a, err
		}
	}
}

// another asks for one more public network: each region has at most one.
func (k *Asker) another(a *Answers) (bool, error) {
	var free []string
	for _, r := range a.Regions {
		if !slices.ContainsFunc(a.Public, func(p Public) bool { return len(p.Regions) == 0 || slices.Contains(p.Regions, r.ID) }) {
			free = append(free, r.ID)
		}
	}
	if len(free) == 0 {
		return false, nil
	}
	more, err := k.Yes("\nNo public network serves "+strings.Join(free, ", ")+" yet. Another one", true)
	if more && err == nil {
		p := k.Machine.Suggest(New)
		p.Name, p.Regions = fmt.Sprintf("internet-%d", len(a.Public)+1), free
		a.Public = append(a.Public, p)
	}
	return more, err
}

func (k *Asker) askRegions(a *Answers) error {
	var ids []string
	for _, r := range a.Regions {
		ids = append(ids, r.ID)
	}
	k.tell("\nRegions and zones are names that clients call the place of their resources by.\n")
	err := k.text("Regions, separated by commas", strings.Join(ids, ", "), "regions", a, func(a *Answers, s string) {
		old := a.Regions
		a.Regions = nil
		for _, id := range fields(s) {
			r := Region{ID: id, Zones: []string{id + "-a", id + "-b"}}
			if i := slices.IndexFunc(old, func(o Region) bool { return o.ID == id }); i >= 0 {
				r = old[i]
			}
			a.Regions = append(a.Regions, r)
		}
		for i := range a.Public {
			a.Public[i].Regions = nil // asked for below
		}
	})
	for i := 0; err == nil && i < len(a.Regions); i++ {
		r := a.Regions[i]
		err = k.text("Zones of "+r.ID, strings.Join(r.Zones, ", "), fmt.Sprintf("regions[%d]", i), a, func(a *Answers, s string) {
			a.Regions = slices.Clone(a.Regions)
			a.Regions[i].Zones = fields(s)
		})
	}
	return err
}

func (k *Asker) askPublic(a *Answers, i int) error {
	at := fmt.Sprintf("public[%d]", i)
	set := func(fn func(*Public, string)) func(*Answers, string) {
		return func(a *Answers, s string) {
			a.Public = slices.Clone(a.Public)
			fn(&a.Public[i], s)
		}
	}
	was := a.Public[i]
	name := was.Device
	if was.Create {
		name = New
	}
	err := k.text("Device that VPCs are connected to", name, at+".device", a, set(func(p *Public, s string) {
		if s == name {
			*p = was
			return
		}
		*p = k.Machine.Suggest(s)
		p.Name, p.Regions = was.Name, was.Regions
	}))
	if p := a.Public[i]; err == nil && !p.Create {
		err = k.text("How: "+ways(k.Machine, p), p.Mode, at+".mode", a, set(func(p *Public, s string) { p.Mode = s }))
	}
	if p := a.Public[i]; err == nil && !p.Create {
		err = k.text("Network on the link", p.Prefix, at+".prefix", a, set(func(p *Public, s string) { p.Prefix = s }))
	}
	if p := a.Public[i]; err == nil && !p.Create {
		err = k.text("Its gateway to everything else, or none", or(p.Gateway, "none"), at+".gateway", a, set(func(p *Public, s string) {
			if p.Gateway = s; s == "none" {
				p.Gateway = ""
			}
		}))
	}
	if err == nil {
		p := a.Public[i]
		err = k.text("Addresses for elastic IPs, which nobody else uses (203.0.113.10-203.0.113.20, 203.0.113.64/28)", strings.Join(p.Pool, ", "), at+".pool", a,
			set(func(p *Public, s string) { p.Pool = fields(s) }))
	}
	if err == nil && len(a.Regions) > 1 {
		p := a.Public[i]
		err = k.text("Regions that it serves, or all", or(strings.Join(p.Regions, ", "), "all"), at+".regions", a, set(func(p *Public, s string) {
			if p.Regions = fields(s); s == "all" {
				p.Regions = nil
			}
		}))
	}
	return err
}

// ways are the modes that a device can be used in.
func ways(m Machine, p Public) string {
	d := m.device(p.Device)
	switch {
	case d != nil && d.Bridge:
		return "as a port of it (bridge)"
	case d != nil && d.Gateway.IsValid():
		return "with an Ethernet address of its own on it (macvlan)"
	}
	return "with an Ethernet address of its own on it (macvlan), or one VPC has it for itself (device)"
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func fields(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// text asks for one thing until what is wrong with all answers, if anything, is not in its
// field.
func (k *Asker) text(question, preset, field string, a *Answers, set func(*Answers, string)) error {
	for {
		s, err := k.line(question, preset)
		if err != nil {
			return err
		}
		tried := *a
		set(&tried, s)
		faults := k.Machine.faults(file, tried)
		i := slices.IndexFunc(faults, func(e *config.Error) bool { return within(e.Field, field) })
		if i < 0 {
			*a = tried
			return nil
		}
		k.tell("  %s\n", faults[i].Text)
	}
}

// within says whether a field is the other one, or a part of it.
func within(field, of string) bool {
	rest, ok := strings.CutPrefix(field, of)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// Yes asks a question that is answered by yes or no.
func (k *Asker) Yes(question string, preset bool) (bool, error) {
	word := map[bool]string{true: "yes", false: "no"}[preset]
	for {
		s, err := k.line(question+" (yes or no)", word)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(s) {
		case "yes", "y":
			return true, nil
		case "no", "n":
			return false, nil
		}
		k.tell("  %q is neither yes nor no\n", s)
	}
}

// line asks, and returns the answer; an empty one is the preset.
func (k *Asker) line(question, preset string) (string, error) {
	if preset == "" {
		k.tell("%s: ", question)
	} else {
		k.tell("%s [%s]: ", question, preset)
	}
	s, err := k.In.ReadString('\n')
	if s = strings.TrimSpace(s); err != nil && s == "" {
		k.tell("\n")
		if errors.Is(err, io.EOF) {
			err = ErrEnded
		}
		return "", fmt.Errorf("%s: %w", strings.TrimSpace(question), err)
	}
	return or(s, preset), nil
}

// tell writes to whoever is asked; one that does not hear it cannot answer either.
func (k *Asker) tell(format string, args ...any) { _, _ = fmt.Fprintf(k.Out, format, args...) }

// table lists the devices.
func (m Machine) table() string {
	var b strings.Builder
	for _, d := range m.Devices {
		kind := "device"
		if d.Bridge {
			kind = string(dataplane.UplinkBridge)
		}
		fmt.Fprintf(&b, "  %-15s %s", d.Name, kind)
		if d.Address.IsValid() {
			fmt.Fprintf(&b, ", %s", d.Address)
		}
		if d.Gateway.IsValid() {
			fmt.Fprintf(&b, ", default route by %s", d.Gateway)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "  %-15s a bridge that sluiced makes, on which this machine is alone: to try things\n", New)
	return b.String()
}
