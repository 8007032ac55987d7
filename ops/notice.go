package ops

import "time"

// maxLost is how many lost orders a Process shows.
const maxLost = 10

// LostOrder is an order of Options.Standing that was not applied again when the
// process started.
type LostOrder struct {
	At   time.Time `json:"at"`   // when that was noticed
	ID   string    `json:"id"`   // of the order; "name/*" if it was for several keys
	Text string    `json:"text"` // what was ordered, by whom and why, and why it is lost; long texts are cut
}

// notice reports an order that the process found when it started. It does not
// wait for the audit log.
func (p *Plane) notice(n standingNotice) {
	if n.lost {
		p.mu.Lock()
		p.lost = append(p.lost, LostOrder{time.Now(), cut(n.order.ID, maxShortRef), cut(n.text, 2*maxShortRef)})
		p.lost = p.lost[max(0, len(p.lost)-maxLost):]
		p.mu.Unlock()
	}
	p.audit.notice(n.order, n.text)
	p.hub.publish(Event{Kind: EventNotice, ID: n.order.ID, Notice: n.text})
}

// lostOrders returns the newest orders that were lost, oldest first.
func (p *Plane) lostOrders() []LostOrder {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]LostOrder(nil), p.lost...)
}
