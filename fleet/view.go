package fleet

import (
	"cmp"
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/switchgear-go/switchgear/breaker"
	"github.com/switchgear-go/switchgear/fleet/internal/verdict"
	"github.com/switchgear-go/switchgear/fleet/internal/wire"
	"github.com/switchgear-go/switchgear/ops"
)

// View is a fleet as its members report it: every breaker of every process.
type View struct {
	Group string `json:"group"`
	// Coordinator is the member that adds up the reports; "": there is none, and
	// every process acts by itself.
	Coordinator string `json:"coordinator,omitempty"`
	Term        uint64 `json:"term,omitempty"` // of the coordinator
	Seq         uint64 `json:"seq,omitempty"`  // of the newest digest; it grows at least once per beat

	Members  []Member        `json:"members"`           // by name
	Breakers []Breaker       `json:"breakers"`          // the worst first
	Standing []StandingOrder `json:"standing"`          // orders, the oldest first
	Silent   int             `json:"silent"`            // members whose reports have stopped, of which at most 1,024 are marked as such
	Beyond   int             `json:"beyond,omitempty"`  // members that report and are not counted: 4,096 are
	Dropped  int             `json:"dropped,omitempty"` // messages that were malformed or not signed
	Omitted  int             `json:"omitted,omitempty"` // breakers that did not fit
}

// Member is a process.
type Member struct {
	Name     string `json:"name"`
	Boot     string `json:"boot"` // drawn when it joined: a process that starts again is another member
	Zone     string `json:"zone,omitempty"`
	Build    string `json:"build,omitempty"`
	Breakers int    `json:"breakers"`
	Omitted  int    `json:"omitted,omitempty"` // breakers in trouble that its report has no room for
	Silent   bool   `json:"silent,omitempty"`  // its reports have stopped
	// SilentFor is for how long, as measured by the coordinator.
	SilentFor ops.Duration `json:"silent_for,omitempty"`
	Advise    bool         `json:"advise,omitempty"` // it does not follow verdicts, see Options.Advise
	Orders    bool         `json:"orders"`           // it carries out orders
}

// Breaker is a breaker in all processes. A set is listed as a whole, and with those
// of its keys that are not healthy in some process.
type Breaker struct {
	ID        string                  `json:"id"`
	Set       bool                    `json:"set,omitempty"`
	States    map[breaker.State]int   `json:"states"` // number of processes by effective state
	Zones     map[string]ZoneStates   `json:"zones"`  // the same by zone
	Verdicts  []Verdict               `json:"verdicts,omitempty"`
	Processes []Process               `json:"processes,omitempty"` // those that are not simply closed
	Drift     map[string][]DriftValue `json:"drift,omitempty"`     // settings that differ between processes, by name
}

// ZoneStates is the number of processes of a zone by state.
type ZoneStates map[breaker.State]int

// Process is one process's own breaker.
type Process struct {
	Member    string        `json:"member"`
	Zone      string        `json:"zone,omitempty"`
	State     breaker.State `json:"state"`
	Auto      breaker.State `json:"auto"`
	Under     uint64        `json:"under,omitempty"`     // the epoch of the verdict that holds it open
	Tripped   bool          `json:"tripped,omitempty"`   // its own rule opened it, and there is no verdict
	Overruled bool          `json:"overruled,omitempty"` // a verdict says open, and its own evidence keeps it closed
	Advised   bool          `json:"advised,omitempty"`   // a verdict says open, and it does not follow verdicts
	Probing   bool          `json:"probing,omitempty"`   // it makes the fleet's probe
	Calls     int           `json:"calls"`               // in the last 4 s, at most 20 are reported
	Failures  int           `json:"failures"`
}

// Verdict is a scope whose breakers are open because of pooled evidence.
type Verdict struct {
	Scope   string         `json:"scope"` // "the fleet", or "zone b"
	Zone    string         `json:"zone,omitempty"`
	Epoch   uint64         `json:"epoch"`
	OpenFor ops.Duration   `json:"open_for"`
	Next    ops.Duration   `json:"next_probe"` // until the fleet's next probe; 0: the next call of a process in Armed probes
	Probing string         `json:"probing,omitempty"`
	Armed   []string       `json:"armed,omitempty"` // processes whose next call is the probe
	Attempt int            `json:"attempt"`         // number of failed probes
	Peers   breaker.Peers  `json:"peers"`
	Counts  breaker.Counts `json:"counts"`
}

// StandingOrder is an override or a change of settings that also applies to members
// that join later.
type StandingOrder struct {
	ops.Order
	Number uint64       `json:"number"`
	Age    ops.Duration `json:"age"`
	Left   ops.Duration `json:"left,omitempty"` // 0: until it is released
}

// DriftValue is one of the values that a setting has, and the members that have it.
type DriftValue struct {
	Value   string   `json:"value"`
	Members []string `json:"members"` // the first eight
	Count   int      `json:"count"`
}

// View reads the fleet from the store.
func (g *Group) View(ctx context.Context) (*View, error) {
	reports, _, err := g.store.Collect(ctx)
	if err != nil {
		return nil, err
	}
	inventories, err := g.store.All(ctx, InventoryTable)
	if err != nil {
		return nil, err
	}
	raw, err := g.store.Digest(ctx)
	if err != nil {
		return nil, err
	}
	standing, _, err := g.standing(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{View: View{Group: g.seal.Group, Members: []Member{}, Breakers: []Breaker{}, Standing: []StandingOrder{}}, names: map[uint64]string{}, rows: map[string]*Breaker{}, settings: map[string][]settingsOf{}}
	digest := v.open(g, raw)
	quiet := map[uint64]time.Duration{}
	if digest != nil {
		for _, q := range digest.Quiet {
			quiet[q.Boot] = max(q.For, 1)
		}
	}
	for field, raw := range reports {
		r := g.report(raw)
		if r == nil || fieldOf(r.Boot) != field {
			v.Dropped++
			continue
		}
		v.member(r, quiet[r.Boot], g.inventory(inventories[field]))
	}
	if digest != nil {
		v.verdicts(digest)
	}
	for _, s := range standing {
		v.Standing = append(v.Standing, StandingOrder{Order: s.Order.Order, Number: s.Number, Age: ops.Duration(s.Age), Left: ops.Duration(s.left())})
	}
	v.finish()
	return &v.View, nil
}

func (g *Group) inventory(raw []byte) *wire.Inventory {
	v := new(wire.Inventory)
	if g.seal.OpenRecord(wire.KindInventory, raw, v) != nil {
		return new(wire.Inventory)
	}
	return v
}

func fieldOf(boot uint64) string {
	var b [8]byte
	for i := range b {
		b[i] = byte(boot >> (56 - 8*i))
	}
	return hex.EncodeToString(b[:])
}

// view is a View in the making.
type view struct {
	View
	names    map[uint64]string   // of members, by boot
	rows     map[string]*Breaker // by id
	settings map[string][]settingsOf
	unlisted int // breakers that a member has and does not tell of
}

// settingsOf are those that a breaker has in a member.
type settingsOf struct {
	member   string
	settings breaker.Settings
}

func (v *view) open(g *Group, raw []byte) *wire.Digest {
	if raw == nil {
		return nil
	}
	body, err := g.seal.Open(wire.KindDigest, raw)
	if err != nil {
		v.Dropped++
		return nil
	}
	digest, err := wire.ReadDigest(body)
	if err != nil {
		v.Dropped++
		return nil
	}
	v.Term, v.Seq, v.Silent, v.Beyond, v.Omitted = digest.Term, digest.Seq, digest.Silent, digest.Beyond, digest.Omitted
	return digest
}

// member takes in what one member says.
func (v *view) member(r *wire.Report, quiet time.Duration, has *wire.Inventory) {
	silent := quiet > 0
	v.names[r.Boot] = r.Member
	v.Members = append(v.Members, Member{
		Name: r.Member, Boot: fieldOf(r.Boot), Zone: r.Zone, Build: r.Build, Breakers: r.Breakers, Omitted: r.Omitted,
		Silent: silent, SilentFor: ops.Duration(quiet), Advise: r.Advise, Orders: r.Orders,
	})
	if silent {
		return // what it said last is not so any more
	}
	said, listed := map[string]bool{}, map[string]bool{}
	for i := range r.Claims {
		c := &r.Claims[i]
		if said[c.ID] {
			continue
		}
		said[c.ID] = true
		row := v.row(c.ID)
		row.add(r.Zone, c.State)
		row.Processes = append(row.Processes, Process{
			Member: r.Member, Zone: r.Zone, State: c.State, Auto: c.Auto, Under: uint64(c.Under),
			Tripped: c.Tripped, Overruled: c.Overruled, Advised: c.Advised, Probing: c.Probe.Result == verdict.Running,
			Calls: c.Spans[0].Calls, Failures: c.Spans[0].Failures,
		})
	}
	for _, item := range has.Breakers {
		if item.Settings < 0 || item.Settings >= len(has.Settings) {
			v.Dropped++
			continue
		}
		listed[item.Name] = true
		row := v.row(item.Name)
		row.Set = item.Set
		if !said[item.Name] {
			row.add(r.Zone, breaker.Closed) // there was nothing to say of it
		}
		v.settings[item.Name] = append(v.settings[item.Name], settingsOf{r.Member, has.Settings[item.Settings]})
	}
	unlisted := has.Omitted
	for id := range said {
		if nameOf(id) == id && !listed[id] {
			unlisted-- // it has no room in the inventory, and is shown all the same
		}
	}
	v.unlisted = max(v.unlisted, unlisted)
}

func (v *view) row(id string) *Breaker {
	b := v.rows[id]
	if b == nil {
		b = &Breaker{ID: id, States: map[breaker.State]int{}, Zones: map[string]ZoneStates{}}
		v.rows[id] = b
	}
	return b
}

func (b *Breaker) add(zone string, s breaker.State) {
	b.States[s]++
	if b.Zones[zone] == nil {
		b.Zones[zone] = ZoneStates{}
	}
	b.Zones[zone][s]++
}

// verdicts takes in what the coordinator says.
func (v *view) verdicts(d *wire.Digest) {
	v.Coordinator = v.names[d.By]
	for id, s := range d.Subjects {
		scopes := map[string]*verdict.Scope{"": &s.Fleet}
		maps.Copy(scopes, s.Zones)
		for zone, x := range scopes {
			if x.Open {
				v.row(id).Verdicts = append(v.row(id).Verdicts, v.verdict(zone, x))
			}
		}
	}
}

func (v *view) verdict(zone string, x *verdict.Scope) Verdict {
	out := Verdict{
		Scope: scopeName(zone), Zone: zone, Epoch: uint64(x.Epoch), OpenFor: ops.Duration(x.OpenFor), Next: ops.Duration(x.Wait), Attempt: x.Attempt,
		Peers: breaker.Peers{
			Scope: scopeName(zone), Epoch: uint64(x.Epoch), Span: verdict.Spans[x.Why.Span], Slow: x.Why.Kind == verdict.Slow,
			Against: x.Why.Tally.Against, Reporting: x.Why.Tally.Reporting,
		},
		Counts: counts(x.Why.Tally.Evidence),
	}
	if x.Probe.Member != 0 {
		out.Probing = cmp.Or(v.names[x.Probe.Member], fieldOf(x.Probe.Member))
	}
	for _, a := range x.Arms {
		if a.Active {
			out.Armed = append(out.Armed, cmp.Or(v.names[a.Member], fieldOf(a.Member)))
		}
	}
	return out
}

func scopeName(zone string) string {
	if zone == "" {
		return "the fleet"
	}
	return "zone " + zone
}

// finish sorts.
func (v *view) finish() {
	v.Omitted += v.unlisted
	slices.SortFunc(v.Members, func(a, b Member) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Boot, b.Boot)) })
	v.drift()
	for _, b := range v.rows {
		slices.SortFunc(b.Processes, func(x, y Process) int { return cmp.Or(cmp.Compare(x.Zone, y.Zone), cmp.Compare(x.Member, y.Member)) })
		slices.SortFunc(b.Verdicts, func(x, y Verdict) int { return cmp.Compare(x.Zone, y.Zone) })
		v.Breakers = append(v.Breakers, *b)
	}
	slices.SortFunc(v.Breakers, func(a, b Breaker) int {
		return cmp.Or(-cmp.Compare(a.badness(), b.badness()), cmp.Compare(a.ID, b.ID))
	})
}

// badness orders breakers: verdicts first, then the share that does not let all
// calls through.
func (b *Breaker) badness() float64 {
	total, bad := 0, 0
	for s, n := range b.States {
		total += n
		if s != breaker.Closed {
			bad += n
		}
	}
	w := float64(bad) / float64(max(1, total))
	if len(b.Verdicts) > 0 {
		w += 2
	}
	if len(b.Drift) > 0 {
		w += 0.001
	}
	return w
}

// drift finds settings that are not the same in all processes.
func (v *view) drift() {
	for name, all := range v.settings {
		first := all[0].settings
		if !slices.ContainsFunc(all, func(s settingsOf) bool { return s.settings != first }) {
			continue
		}
		fields := map[string]map[string][]string{}
		for _, s := range all {
			for field, value := range settingsText(s.settings) {
				if fields[field] == nil {
					fields[field] = map[string][]string{}
				}
				fields[field][value] = append(fields[field][value], s.member)
			}
		}
		row := v.rows[name]
		row.Drift = map[string][]DriftValue{}
		for field, values := range fields {
			if len(values) > 1 {
				row.Drift[field] = driftValues(values)
			}
		}
	}
}

func driftValues(values map[string][]string) (out []DriftValue) {
	for value, members := range values {
		slices.Sort(members)
		out = append(out, DriftValue{Value: value, Members: members[:min(8, len(members))], Count: len(members)})
	}
	slices.SortFunc(out, func(a, b DriftValue) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Value, b.Value)) })
	return out
}

// Breaker returns the breaker with this id.
func (v *View) Breaker(id string) (*Breaker, error) {
	var near []string
	for i := range v.Breakers {
		b := &v.Breakers[i]
		if b.ID == id {
			return b, nil
		}
		if strings.HasPrefix(b.ID, id) || strings.HasPrefix(id, b.ID) {
			near = append(near, b.ID)
		}
	}
	return nil, &breaker.UnknownError{ID: id, Near: near[:min(3, len(near))]}
}
