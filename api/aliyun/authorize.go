package aliyun

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"sluice/api/edge"
	"sluice/controlplane/identity"
	"sluice/controlplane/policy"
	"sluice/controlplane/ram"
	"sluice/controlplane/resource"
)

// Access says what may be done with an access key: *ram.Service does.
type Access interface {
	// Authorize refuses with fault.NotAuthorized unless all of the requests are allowed.
	Authorize(a ram.Asked, requests []policy.Request) error
	// Owner returns the account of that id or name, if it has let another do anything.
	Owner(idOrName, to string) (id string, ok bool)
	// Where returns the region of an account's resource; of a NAT gateway, by the id of a
	// table of it as well.
	Where(account string, kind resource.Kind, id string) (region string, found bool)
	// VPCOf returns the VPC of a VRouter of an account.
	VPCOf(account, router string) (vpc string, found bool)
}

// rule says on which resources an action needs a right.
type rule struct {
	whole    string // why it needs the right on everything of the service; empty: it does not
	checked  []checked
	variants []variant // in the first case that holds, in place of checked
	keys     []keyRule // condition keys that have a value
}

// checked is a resource: acs:<service>:<region>:<account>:<kind>/<id>.
type checked struct {
	service, kind string
	parameter     string // that has the id; empty: *
	system        bool   // it is no account's, but the system's
}

type variant struct {
	when
	checked []checked
}

// when is a case: a parameter has a value, is given, or is absent.
type when struct {
	parameter     string
	is            string
	given, absent bool
}

type keyRule struct {
	when
	key     string // in lower case
	value   checked
	through string // the parameter names a resource of this kind, whose VPC the value has
}

func (w when) holds(p *Params) bool {
	v := p.Get(w.parameter)
	if v == "" {
		return w.absent
	}
	return w.given || w.is != "" && strings.EqualFold(v, w.is)
}

// located are the kinds that the types of the document's table are of, by which a
// resource is found.
var located = map[string]resource.Kind{
	"vpc":              resource.KindVPC,
	"vrouter":          resource.KindVRouter,
	"vswitch":          resource.KindVSwitch,
	"routetable":       resource.KindRouteTable,
	"havip":            resource.KindHaVip,
	"instance":         resource.KindInstance,
	"eip":              resource.KindElasticIP,
	"natgateway":       resource.KindNATGateway,
	"forwardtable":     resource.KindNATGateway,
	"snattable":        resource.KindNATGateway,
	"customergateway":  resource.KindCustomerGateway,
	"vpnconnection":    resource.KindVPNConnection,
	"vpngateway":       resource.KindVPNGateway,
	"bandwidthpackage": resource.KindNATPackage,

	"globalaccelerationinstance": resource.KindAcceleration,
}

// Authorize implements edge.Call. An account's own key may do all on what is the account's
// own, and is let pass without a look at anything else.
func (c *call) Authorize(key identity.Key) (string, *edge.Error) {
	owner, refusal := c.owner(key)
	if refusal != nil {
		return "", (*edge.Error)(refusal)
	}
	asked := ram.Of(key, owner)
	if asked.Free() || c.other != nil && c.other.anyone && owner == key.Account {
		return owner, nil
	}
	return owner, (*edge.Error)(c.authorize(asked))
}

// owner returns the account that the call is about: the key's own, unless the parameters
// name another one that has let that account do something.
func (c *call) owner(key identity.Key) (string, *Error) {
	owner := key.Account
	for _, prefix := range []string{"", "Resource"} {
		id, account := c.params.Get(prefix+"OwnerId"), c.params.Get(prefix+"OwnerAccount")
		if id != "" && account != "" && prefix == "" {
			return "", documented("", "InvalidOwner", "")
		}
		for _, named := range []struct{ value, code string }{{id, "InvalidOwnerId"}, {account, "InvalidOwnerAccount"}} {
			if named.value == "" {
				continue
			}
			of, ok := c.named(key, named.value, named.code == "InvalidOwnerAccount")
			if !ok || owner != key.Account && of != owner {
				return "", documented("", named.code, "")
			}
			owner = of
		}
	}
	return owner, nil
}

// named returns the account of an id, or name, that the key may name as an owner.
func (c *call) named(key identity.Key, value string, byName bool) (string, bool) {
	if value == key.Account || byName && value == key.AccountName {
		return key.Account, true
	}
	if c.access == nil {
		return "", false
	}
	id, ok := c.access.Owner(value, key.Account)
	return id, ok && (byName || id == value)
}

// authorize asks for the right on each of the resources that the action's rule names.
func (c *call) authorize(asked ram.Asked) *Error {
	refused := func(err error) *Error {
		slog.Debug("call not authorized", "action", c.action, "account", asked.Account, "user", asked.User, "owner", asked.Owner, "error", err)
		return c.forbidden(asked)
	}
	if c.access == nil {
		return refused(errors.New("nobody decides about rights"))
	}
	r, ok := rules[c.action]
	service, action, own := "vpc", c.action, true
	if code, name, other := strings.Cut(c.action, ":"); other {
		service, action, own = code, name, false
	}
	if c.other != nil {
		r, ok = rule{whole: "of another service"}, true
	}
	// An account's users and their rights are not another one's matter.
	if !ok || (r.whole != "" || !own) && asked.Owner != asked.Account {
		return documented("", "Forbidden.NotSupportRAM", "")
	}
	a := &rights{call: c, rule: r, owner: asked.Owner, user: asked.UserName}
	requests := a.requests(service, action)
	if err := c.access.Authorize(asked, requests); err != nil {
		return refused(err)
	}
	return a.elsewhere(asked, requests)
}

// forbidden is the refusal of who has no right.
func (c *call) forbidden(asked ram.Asked) *Error {
	if e := choose(documentedErrors[c.action], "NoPermission", ""); e != nil { // as RAM's own actions have it
		return e
	}
	for _, code := range []string{"Forbidden.SubUser", "Forbbiden.SubUser"} { // as the documents spell it
		if e := choose(documentedErrors[c.action], code, ""); e != nil && asked.User != "" {
			return e
		}
	}
	if e := choose(documentedErrors[c.action], "Forbidden", "authorized"); e != nil && asked.User == "" {
		return e
	}
	if ordering[c.action] && asked.User != "" {
		return documented("", "Forbidden.SubUser", "not available")
	}
	return documented("", "Forbidden.RAM", "")
}

// ordering are the actions that order something, which the common table has a code of its
// own for.
var ordering = map[string]bool{"CreateNatGateway": true, "ModifyNatGatewaySpec": true, "CreateBandwidthPackage": true, "CreateVpnGateway": true}

// rights are what one call needs.
type rights struct {
	*call
	rule
	owner string
	user  string // name of the user who asks; empty: an account
	named []named
}

// named is a resource that the call names by its id.
type named struct {
	request   int // of the requests, the one that it is in
	parameter string
	id        string
	region    string // where it is
	found     bool
	checked
}

// requests returns what the call asks for.
func (a *rights) requests(service, action string) (list []policy.Request) {
	region := a.params.Get("RegionId")
	what := a.checked
	for _, v := range a.variants {
		if v.holds(a.params) {
			what = v.checked
			break
		}
	}
	for i, x := range what {
		id := a.params.Get(x.parameter)
		if x.parameter == "" || id == "" || x.service == "ram" {
			continue // or is in no region
		}
		n := named{request: i, parameter: x.parameter, id: id, checked: x}
		n.region, n.found = a.access.Where(a.owner, located[x.kind], id)
		a.named = append(a.named, n)
		if region == "" && n.found {
			region = n.region // all of a call is in one
		}
	}
	if region == "" || service == "ram" {
		region = policy.Everything
	}
	values := a.values(region)
	add := func(r policy.Resource) {
		list = append(list, policy.Request{Service: service, Action: action, Resource: r, Value: values})
	}
	if a.whole != "" {
		add(policy.Resource{Of: service, Region: region, Account: a.owner, Whole: true})
		return list
	}
	for _, x := range what {
		r := policy.Resource{Of: x.service, Region: a.regionOf(x, region), Account: a.owner, ID: x.kind + "/*"}
		if x.parameter != "" {
			// Which one is not said: it may be any.
			id := a.id(x)
			r.ID, r.Whole = x.kind+"/"+id, id == ""
		}
		if x.system {
			r.Account = policy.System
		}
		add(r)
	}
	return list
}

// regionOf returns the region that a call says a resource is in: region, but for the backend of
// a global acceleration instance, which is in another one.
func (a *rights) regionOf(x checked, region string) string {
	if x.parameter == "BackendServerId" {
		return cmp.Or(a.params.Get("BackendServerRegionId"), region)
	}
	return region
}

// id returns the id that a call gives of a resource; empty: none. A user who names none
// means itself.
func (a *rights) id(x checked) string {
	id := a.params.Get(x.parameter)
	if id == "" && x.service == "ram" && x.parameter == "UserName" {
		return a.user
	}
	return id
}

// elsewhere has what is named, and is in another region than the one that the call names,
// be as if it were not there, unless the right holds there, too: some actions find their
// resource in any region, and whoever has no right in the other one must not be told of it.
func (a *rights) elsewhere(asked ram.Asked, requests []policy.Request) *Error {
	for _, n := range a.named {
		r := requests[n.request]
		hidden := n.found && n.region != r.Region
		if hidden {
			r.Region = n.region
			hidden = a.access.Authorize(asked, []policy.Request{r}) != nil
		}
		if n.service == "ecs" && (hidden || !n.found) {
			return documented("", "Forbidden.InstanceNotFound", "")
		}
		for there := hidden; there; {
			n.id += "0"
			_, there = a.access.Where(a.owner, located[n.kind], n.id)
		}
		if hidden {
			a.carried = a.invoked().with(n.parameter, n.id)
		}
	}
	return nil
}

// values returns the values of condition keys.
func (a *rights) values(region string) func(key string) (string, bool) {
	return func(key string) (string, bool) {
		switch key {
		case "acs:sourceip":
			host, _, err := net.SplitHostPort(a.request.RemoteAddr)
			return host, err == nil
		case "acs:securetransport":
			return strconv.FormatBool(a.request.TLS != nil), true
		case "acs:currenttime":
			return a.request.Received.UTC().Format("2006-01-02T15:04:05Z"), true
		case "acs:mfapresent":
			return "false", true // no key here is used with a second factor
		}
		for _, k := range a.keys {
			if k.key == key && k.holds(a.params) {
				return a.value(k, region)
			}
		}
		return "", false
	}
}

func (a *rights) value(k keyRule, region string) (string, bool) {
	id := "*"
	if k.value.parameter != "" {
		id = a.params.Get(k.value.parameter)
	}
	if k.through != "" {
		var ok bool
		if id, ok = a.access.VPCOf(a.owner, id); !ok {
			return "", false
		}
	}
	return policy.Resource{Of: k.value.service, Region: region, Account: a.owner, ID: k.value.kind + "/" + id}.String(), true
}
