package template

import (
	"context"
	"log/slog"
	"slices"
	"time"
	"unicode/utf8"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on templates. Its methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
}

// New returns the service over db. now is the clock of creation times and receipts.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log)}
}

// Under returns the service with ids of another form.
func (s *Service) Under(ids resource.IDs) *Service {
	c := *s
	c.writer.IDs = ids
	return &c
}

// maxName is the longest name, in characters; the document has no number.
const maxName = 60

// prefixes are those of ids, of templates and of groups of them, as in the document's examples.
var prefixes = map[resource.TemplateKind][2]string{
	resource.AddressTemplate: {"ipm", "ipmg"}, resource.ServiceTemplate: {"ppm", "ppmg"},
}

// Wanted is what a new template, or group of them, should be.
type Wanted struct {
	Region string
	Of     resource.TemplateKind
	Name   string
	List   []string // addresses or services; of a group the ids of templates
}

// Change is a change of a template, or of a group; nil leaves a thing as it is, and a list takes
// the place of the old one.
type Change struct {
	Region, ID string
	Of         resource.TemplateKind
	Name       *string
	List       []string
}

// Create makes a template (CreateAddressTemplate, CreateServiceTemplate).
//
// Reasons: RegionNotFound, TemplateName, TemplateEmpty, TemplateItem, TemplateItemTwice,
// QuotaTemplateItems, QuotaTemplate.
func (s *Service) Create(ctx context.Context, c identity.Caller, in Wanted) (*resource.Template, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (*resource.Template, error) {
		if err := s.settings.CheckRegion(in.Region); err != nil {
			return nil, err
		}
		t := &resource.Template{Meta: resource.Meta{ID: tx.NewID(prefixes[in.Of][0]), Account: c.Account, Region: in.Region, CreatedAt: s.writer.Now()}, Of: in.Of, Name: in.Name}
		if err := checkName(in.Name); err != nil {
			return nil, err
		}
		var err error
		if t.Items, err = items(in.Of, in.List); err != nil {
			return nil, err
		}
		if err := tx.Fits(t); err != nil {
			return nil, err
		}
		if err := tx.Room(t); err != nil {
			return nil, err
		}
		tx.Put(t)
		tx.Done("template created", "template", t.ID, "of", t.Of, "items", len(t.Items))
		return t, nil
	})
}

func checkName(name string) error {
	if name == "" || utf8.RuneCountInString(name) > maxName {
		return fault.New(fault.TemplateName, "%d characters are the most", maxName)
	}
	return nil
}

// items reads the items of a template, in the form in which they are kept.
func items(of resource.TemplateKind, list []string) (out []string, err error) {
	if len(list) == 0 {
		return nil, fault.New(fault.TemplateEmpty, "a template has one item or more")
	}
	for _, item := range list {
		text := ""
		if of == resource.AddressTemplate {
			text, _, err = resource.ParseAddresses(item)
		} else {
			text, _, err = resource.ParseServices(item)
		}
		if err != nil {
			return nil, fault.New(fault.TemplateItem, "%v", err)
		}
		if slices.Contains(out, text) {
			return nil, fault.New(fault.TemplateItemTwice, "%s", text)
		}
		out = append(out, text)
	}
	return out, nil
}

// find returns a template of a kind: one of another kind is not there.
func (s *Service) find(c identity.Caller, v *state.View, region string, of resource.TemplateKind, id string) (*resource.Template, error) {
	t, err := lookup.In(s.settings, c, v.Templates, region, id)
	if err == nil && t.Of != of {
		return nil, fault.New(fault.TemplateNotFound, "%s", id)
	}
	return t, err
}

// Modify changes a template (ModifyAddressTemplateAttribute, ModifyServiceTemplateAttribute). What
// rules name it follows.
//
// Reasons: RegionNotFound, TemplateNotFound, TemplateName, TemplateItem, TemplateItemTwice,
// QuotaTemplateItems.
func (s *Service) Modify(ctx context.Context, c identity.Caller, in Change) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		old, err := s.find(c, tx.View, in.Region, in.Of, in.ID)
		if err != nil {
			return err
		}
		t := old.Clone().(*resource.Template)
		if in.Name != nil {
			if err := checkName(*in.Name); err != nil {
				return err
			}
			t.Name = *in.Name
		}
		if in.List != nil {
			if t.Items, err = items(in.Of, in.List); err != nil {
				return err
			}
		}
		if err := tx.Fits(t); err != nil {
			return err
		}
		if slices.Equal(t.Items, old.Items) {
			tx.PutAttributes(t)
		} else {
			tx.Put(t)
		}
		tx.Done("template changed", "template", t.ID, "name", t.Name, "items", len(t.Items))
		return nil
	})
}

// Delete deletes a template that nothing names (DeleteAddressTemplate, DeleteServiceTemplate).
//
// Reasons: RegionNotFound, TemplateNotFound, TemplateGrouped, TemplateNamed.
func (s *Service) Delete(ctx context.Context, c identity.Caller, region string, of resource.TemplateKind, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		t, err := s.find(c, tx.View, region, of, id)
		if err != nil {
			return err
		}
		if err := tx.Blocked(t); err != nil {
			return err
		}
		tx.Delete(t)
		tx.Done("template deleted", "template", t.ID)
		return nil
	})
}

// Query selects templates, or groups of them, of a region.
type Query struct {
	Region string
	Of     resource.TemplateKind
	IDs    state.OneOf[string]
	Names  state.OneOf[string]
	None   bool // nothing can meet the filters
}

// Templates lists the caller's templates in order of creation (DescribeAddressTemplates,
// DescribeServiceTemplates). Reason: RegionNotFound.
func (s *Service) Templates(c identity.Caller, q Query, p state.Page) (state.Listing[*resource.Template], error) {
	if err := s.settings.CheckRegion(q.Region); err != nil || q.None {
		return state.Listing[*resource.Template]{}, err
	}
	return state.SelectOwn(s.db.View().Templates, c.Account, q.Region, p, func(t *resource.Template) bool {
		return t.Of == q.Of && q.IDs.Allows(t.ID) && q.Names.Allows(t.Name)
	}, state.Itself, state.Under{Index: state.ByID, Keys: q.IDs}), nil
}
