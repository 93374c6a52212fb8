package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/controlplane/resource"
	"sluice/test/lab"
)

// slot is a place for one VPC at a time, and the elastic IPs for it. Several
// clients work on it: those that change its shape one at a time, those that
// change entries beside one another.
type slot struct {
	*holding
	storm *storm
	cidr  netip.Prefix
	shape sync.RWMutex
	made  int // VPCs so far
}

// write is one call, and what it does if it is acknowledged.
type write struct {
	effect
	call func(ctx context.Context) (map[string]string, error)
	// ids names those of effect.made in the answer.
	ids func(answer map[string]string) []string
}

// api is a write by an action of the API.
func (s *storm) api(e effect, ids func(map[string]string) []string, action string, kv ...string) write {
	e.what = action + " " + strings.Join(kv, " ")
	return write{e, func(ctx context.Context) (map[string]string, error) {
		body, err := s.client.Call(ctx, action, params(kv))
		if err != nil {
			return nil, err
		}
		var answer map[string]json.RawMessage
		if err := json.Unmarshal(body, &answer); err != nil {
			return nil, fmt.Errorf("answer to %s: %w", action, err)
		}
		texts := make(map[string]string)
		for name, value := range answer {
			var text string
			if json.Unmarshal(value, &text) == nil {
				texts[name] = text
			}
		}
		return texts, nil
	}, ids}
}

// named is for answers that name the id of the only thing that was made.
func named(field string) func(map[string]string) []string {
	return func(answer map[string]string) []string { return []string{answer[field]} }
}

// outcome of a write.
type outcome int

const (
	acknowledged outcome = iota
	refused
	lost     // it may have been done or not
	notTaken // no daemon was there
)

// carry carries a write out and keeps book of it.
func (s *storm) carry(h *holding, w write) outcome {
	s.gate.RLock()
	defer s.gate.RUnlock()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	answer, err := w.call(ctx)
	var byAPI *aliyun.Error
	var byAdmin *admin.Error
	var out outcome
	switch {
	case err == nil:
		var ids []string
		if w.ids != nil {
			ids = w.ids(answer)
		}
		if len(ids) != len(w.made) {
			s.fail("%s: the answer names %q, not %d things", w.what, ids, len(w.made))
		}
		h.done(w.effect, ids)
	case errors.As(err, &byAPI):
		out = refused
		if byAPI.HTTP >= 500 {
			s.fail("%s: %v", w.what, err)
		}
		s.count(byAPI.Code)
	case errors.As(err, &byAdmin):
		out = refused
		if byAdmin.Status >= 500 {
			s.fail("%s: HTTP status %d: %v", w.what, byAdmin.Status, err)
		}
		s.count("admin: " + byAdmin.Reason)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		out = notTaken
	default:
		if !s.dying.Load() {
			s.fail("%s: %v, although nobody killed the daemon", w.what, err)
		}
		h.doubt(w.effect)
		out = lost
	}
	s.tally(out)
	return out
}

func pick[T interface{ ~[]E }, E interface{}](r *rand.Rand, list T) (e E) {
	if len(list) > 0 {
		e = list[r.IntN(len(list))]
	}
	return e
}

// shapeOnce makes, changes or deletes something that others stand on.
func (p *slot) shapeOnce(r *rand.Rand) outcome {
	p.shape.Lock()
	defer p.shape.Unlock()
	s := p.storm
	vpc := p.one("vpc")
	if vpc == "" {
		p.made++
		name := fmt.Sprintf("%s-%d", p.name, p.made)
		return s.carry(p.holding, s.api(effect{made: []item{
			{"vpc", p.cidr.String(), name, ""}, {kind: "router"}, {kind: "table"},
		}}, func(a map[string]string) []string {
			s.made(a["VpcId"])
			return []string{a["VpcId"], a["VRouterId"], a["RouteTableId"]}
		}, "CreateVpc", "CidrBlock", p.cidr.String(), "VpcName", name))
	}
	gateway := p.one("nat")
	n := r.IntN(100)
	if free := slices.IndexFunc(p.of("eip"), func(id string) bool { return p.get(id).b == "" }); free >= 0 && gateway != "" && n%2 == 0 {
		n = 70 // entries need addresses on the gateway
	}
	switch {
	case n < 2: // all of it, from the top down
		return p.clear()
	case n < 5: // mostly refused
		return s.carry(p.holding, p.deleteVPC(vpc))
	case n < 20 || len(p.of("switch")) == 0:
		block := p.block(r.IntN(6)) // overlaps if it is there
		return s.carry(p.holding, s.api(effect{made: []item{{"switch", block.String(), "", ""}}}, named("VSwitchId"),
			"CreateVSwitch", "VpcId", vpc, "ZoneId", lab.DefaultRegion+"-a", "CidrBlock", block.String()))
	case n < 25:
		return s.carry(p.holding, p.deleteSwitch(pick(r, p.of("switch"))))
	case n < 40 || gateway == "":
		if gateway == "" {
			spec := pick(r, []string{"Small", "Middle", "Large"})
			return s.carry(p.holding, p.createGateway(vpc, spec))
		}
		spec := pick(r, []string{"Small", "Middle", "Large"})
		g := p.get(gateway)
		g.a = spec
		return s.carry(p.holding, s.api(effect{set: map[string]item{gateway: g}}, nil, "ModifyNatGatewaySpec", "NatGatewayId", gateway, "Spec", spec))
	case n < 43:
		return s.carry(p.holding, p.deleteGateway(gateway, r.IntN(2) == 0))
	case n < 55:
		x := pick(r, p.of("switch"))
		block := netip.MustParsePrefix(p.get(x).a)
		a := block.Addr().Next()
		for range 9 + r.IntN(5) {
			a = a.Next()
		}
		return s.carry(p.holding, p.addInstance(x, a))
	case n < 60:
		if i := pick(r, p.of("instance")); i != "" {
			return s.carry(p.holding, p.removeInstance(i))
		}
	case n < 85:
		return s.carry(p.holding, p.bindOrNot(r, gateway))
	case n < 95:
		if i := pick(r, p.of("instance")); i != "" {
			to := fmt.Sprintf("198.18.%d.0/24", r.IntN(4))
			table := p.one("table")
			return s.carry(p.holding, s.api(effect{set: map[string]item{table + "/" + to: {"route", to, string(resource.NextHopHost), i}}}, nil,
				"CreateRouteEntry", "RouteTableId", table, "DestinationCidrBlock", to, "NextHopType", "Instance", "NextHopId", i))
		}
	default:
		if e := pick(r, p.of("route")); e != "" {
			return s.carry(p.holding, p.deleteRoute(e))
		}
	}
	return notTaken
}

// block is the i-th VSwitch block of the slot; all slots' lie in one another.
func (p *slot) block(i int) netip.Prefix {
	b := p.cidr.Addr().As4()
	b[2] = byte(i)
	return netip.PrefixFrom(netip.AddrFrom4(b), 24)
}

func (p *slot) deleteVPC(vpc string) write {
	return p.storm.api(effect{gone: []string{vpc, p.one("router"), p.one("table")}}, nil, "DeleteVpc", "VpcId", vpc)
}

func (p *slot) deleteSwitch(id string) write {
	return p.storm.api(effect{gone: []string{id}}, nil, "DeleteVSwitch", "VSwitchId", id)
}

func (p *slot) createGateway(vpc, spec string) write {
	return p.storm.api(effect{
		made: []item{{"nat", spec, unknown, unknown}},
		set:  map[string]item{p.one("table") + "/0.0.0.0/0": {"route", "0.0.0.0/0", string(resource.NextHopNATGateway), unknown}},
	}, named("NatGatewayId"), "CreateNatGateway", "VpcId", vpc, "Spec", spec)
}

func (p *slot) deleteGateway(id string, force bool) write {
	e := effect{gone: []string{id, p.one("table") + "/0.0.0.0/0"}, set: make(map[string]item)}
	if force {
		e.gone = append(append(e.gone, p.of("dnat")...), p.of("snat")...)
		for _, eip := range p.of("eip") {
			if i := p.get(eip); i.c == id {
				e.set[eip] = item{"eip", i.a, "", ""}
			}
		}
	}
	return p.storm.api(e, nil, "DeleteNatGateway", "NatGatewayId", id, "Force", fmt.Sprint(force))
}

func (p *slot) addInstance(vswitch string, a netip.Addr) write {
	s := p.storm
	id := fmt.Sprintf("i-%s%d", strings.ReplaceAll(p.name, "-", ""), s.serial.Add(1))
	e := effect{what: "add instance " + id, set: map[string]item{id: {"instance", a.String(), vswitch, ""}}}
	return write{effect: e, call: func(ctx context.Context) (map[string]string, error) {
		_, err := s.admin.AddInstance(ctx, admin.NewInstance{ID: id, VSwitch: vswitch, PrivateIP: a.String()})
		return nil, err
	}}
}

func (p *slot) removeInstance(id string) write {
	return write{effect: effect{what: "remove instance " + id, gone: []string{id}}, call: func(ctx context.Context) (map[string]string, error) {
		return nil, p.storm.admin.RemoveInstance(ctx, id)
	}}
}

func (p *slot) deleteRoute(id string) write {
	e := p.get(id)
	return p.storm.api(effect{gone: []string{id}}, nil, "DeleteRouteEntry", "RouteTableId", p.one("table"), "DestinationCidrBlock", e.a, "NextHopId", e.c)
}

// bindOrNot binds an elastic IP that is free, or unbinds one.
func (p *slot) bindOrNot(r *rand.Rand, gateway string) write {
	id := pick(r, p.of("eip"))
	e := p.get(id)
	if e.b != "" {
		return p.unbind(id)
	}
	e.b, e.c = "Nat", gateway
	if i := pick(r, p.of("instance")); i != "" && r.IntN(3) == 0 {
		e.b, e.c = "EcsInstance", i
	}
	return p.storm.api(effect{set: map[string]item{id: e}}, nil, "AssociateEipAddress", "AllocationId", id, "InstanceType", e.b, "InstanceId", e.c)
}

func (p *slot) unbind(id string) write {
	e := p.get(id)
	return p.storm.api(effect{set: map[string]item{id: {"eip", e.a, "", ""}}}, nil, "UnassociateEipAddress", "AllocationId", id, "InstanceType", e.b, "InstanceId", e.c)
}

// tables returns the DNAT and the SNAT table of the gateway, asking for them
// where they are not known.
func (p *slot) tables(gateway string) (forward, snat string, ok bool) {
	p.storm.gate.RLock()
	defer p.storm.gate.RUnlock()
	if g := p.get(gateway); g.b != unknown {
		return g.b, g.c, g.kind != ""
	}
	var list aliyun.DescribeNatGatewaysResponse
	err := p.storm.client.CallInto(context.Background(), "DescribeNatGateways", params([]string{"NatGatewayId", gateway}), &list)
	if err != nil || len(list.NatGateways.NatGateway) != 1 {
		return "", "", false
	}
	g := list.NatGateways.NatGateway[0]
	forward, snat = g.ForwardTableIds.ForwardTableId[0], g.SnatTableIds.SnatTableId[0]
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.items[gateway]
	known.b, known.c = forward, snat
	p.items[gateway] = known
	return forward, snat, true
}

// public returns the elastic IPs of the slot: those on the gateway, or, now and
// then or where there are none, all.
func (p *slot) public(r *rand.Rand, gateway string) []string {
	all := p.of("eip")
	on := slices.DeleteFunc(slices.Clone(all), func(id string) bool { return p.get(id).c != gateway })
	if len(on) == 0 || r.IntN(10) == 0 {
		return all
	}
	return on
}

// forwardOnce changes DNAT entries.
func (p *slot) forwardOnce(r *rand.Rand) outcome {
	p.shape.RLock()
	defer p.shape.RUnlock()
	s := p.storm
	gateway := p.one("nat")
	if gateway == "" {
		return notTaken
	}
	table, _, ok := p.tables(gateway)
	if !ok {
		return notTaken
	}
	e := p.get(pick(r, p.public(r, gateway)))
	proto := pick(r, []resource.Protocol{resource.TCP, resource.UDP, resource.AnyProtocol})
	port, inner := fmt.Sprint(1+r.IntN(20)), fmt.Sprint(1+r.IntN(20))
	if proto == resource.AnyProtocol {
		port, inner = "Any", "Any"
	}
	in := p.block(r.IntN(6)).Addr().Next().Next().String()
	want := forwardItem(e.a, port, proto, in, inner)
	entry := pick(r, p.of("dnat"))
	values := []string{"ForwardTableId", table, "ExternalIp", e.a, "ExternalPort", port, "IpProtocol", protocolWord(proto), "InternalIp", in, "InternalPort", inner}
	switch n := r.IntN(10); {
	case n < 5 || entry == "":
		return s.carry(p.holding, s.api(effect{made: []item{want}}, named("ForwardEntryId"), "CreateForwardEntry", values...))
	case n < 7:
		return s.carry(p.holding, s.api(effect{set: map[string]item{entry: want}}, nil, "ModifyForwardEntry", append(values, "ForwardEntryId", entry)...))
	default:
		return s.carry(p.holding, s.api(effect{gone: []string{entry}}, nil, "DeleteForwardEntry", "ForwardTableId", table, "ForwardEntryId", entry))
	}
}

// snatOnce changes SNAT entries.
func (p *slot) snatOnce(r *rand.Rand) outcome {
	p.shape.RLock()
	defer p.shape.RUnlock()
	s := p.storm
	gateway, vswitch := p.one("nat"), pick(r, p.of("switch"))
	if gateway == "" || vswitch == "" {
		return notTaken
	}
	_, table, ok := p.tables(gateway)
	if !ok {
		return notTaken
	}
	pool := p.get(pick(r, p.public(r, gateway))).a
	if second := p.get(pick(r, p.public(r, gateway))).a; second != pool && r.IntN(2) == 0 {
		pool += "," + second
	}
	entry := pick(r, p.of("snat"))
	switch n := r.IntN(10); {
	case n < 5 || entry == "":
		block := p.get(vswitch).a
		name, value := "SourceVSwitchId", vswitch
		if r.IntN(3) == 0 {
			block = netip.PrefixFrom(netip.MustParsePrefix(block).Addr().Next(), 32).String()
			name, value = "SourceCIDR", block
		}
		return s.carry(p.holding, s.api(effect{made: []item{{"snat", block, pool, ""}}}, named("SnatEntryId"),
			"CreateSnatEntry", "SnatTableId", table, name, value, "SnatIp", pool))
	case n < 7:
		e := p.get(entry)
		e.b = pool
		return s.carry(p.holding, s.api(effect{set: map[string]item{entry: e}}, nil, "ModifySnatEntry", "SnatTableId", table, "SnatEntryId", entry, "SnatIp", pool))
	default:
		return s.carry(p.holding, s.api(effect{gone: []string{entry}}, nil, "DeleteSnatEntry", "SnatTableId", table, "SnatEntryId", entry))
	}
}

// clear deletes everything of the slot but its elastic IPs, until something is
// not acknowledged. Whoever calls has p.shape.
func (p *slot) clear() outcome {
	s := p.storm
	var writes []func() write
	each := func(kind string, w func(id string) write) {
		for _, id := range p.of(kind) {
			writes = append(writes, func() write { return w(id) })
		}
	}
	each("nat", func(id string) write { return p.deleteGateway(id, true) })
	for _, id := range p.of("eip") {
		if e := p.get(id); e.b == "EcsInstance" {
			writes = append(writes, func() write { return p.unbind(id) })
		}
	}
	for _, id := range p.of("route") {
		if p.get(id).b == string(resource.NextHopHost) {
			writes = append(writes, func() write { return p.deleteRoute(id) })
		}
	}
	each("instance", p.removeInstance)
	each("switch", p.deleteSwitch)
	each("vpc", p.deleteVPC)
	for _, w := range writes {
		if out := s.carry(p.holding, w()); out != acknowledged {
			return out
		}
	}
	return acknowledged
}

// allocateOnce allocates and releases elastic IPs that are never bound.
func (s *storm) allocateOnce(r *rand.Rand) outcome {
	have := s.spare.of("eip")
	if len(have) < 3 || len(have) < 10 && r.IntN(2) == 0 {
		return s.carry(s.spare, s.api(effect{made: []item{{"eip", unknown, "", ""}}}, named("AllocationId"), "AllocateEipAddress"))
	}
	id := pick(r, have)
	return s.carry(s.spare, s.api(effect{gone: []string{id}}, nil, "ReleaseEipAddress", "AllocationId", id))
}
