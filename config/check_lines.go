package config

import (
	"fmt"
	"strings"

	"sluice/controlplane/settings"
)

// accessPoints checks where leased lines end.
func (k *checker) accessPoints() error {
	for i := range k.doc.AccessPoints {
		a, field := &k.doc.AccessPoints[i], fmt.Sprintf("access_points[%d]", i)
		if !isID(a.ID) {
			return k.errorf(field+".id", "%q is not an id; write 1 to 64 lower-case letters, digits and hyphens, for example ap-cn-hangzhou-a", a.ID)
		}
		for j, other := range k.doc.AccessPoints[:i] {
			if other.ID == a.ID {
				return k.errorf(field+".id", "%q stands already at access_points[%d]; ids of access points are unique", a.ID, j)
			}
		}
		if a.Region == "" && len(k.config.Settings.Regions) == 1 {
			a.Region = k.config.Settings.Regions[0].ID
		}
		if _, ok := k.config.Settings.Region(a.Region); !ok {
			return k.errorf(field+".region", "%q is not a region of this configuration; write one of regions", a.Region)
		}
		use := settings.AccessPointUse(or(a.Use, string(settings.AccessPointRecommended)))
		switch use {
		case settings.AccessPointRecommended, settings.AccessPointHot, settings.AccessPointFull:
		default:
			return k.errorf(field+".use", "%q says nothing; write recommended, hot or full", a.Use)
		}
		point := settings.AccessPoint{
			ID: a.ID, Region: a.Region, Name: or(a.Name, a.ID), Description: a.Description, Location: a.Location, HostOperator: a.HostOperator, Use: use,
		}
		for j, p := range a.Ports {
			at := fmt.Sprintf("%s.ports[%d]", field, j)
			if err := k.device(at+".device", p.Device); err != nil {
				return err
			}
			port := settings.Port{Number: or(p.Number, p.Device), Device: p.Device, Location: or(p.Location, a.Location)}
			if other, twice := point.Port(port.Number); twice {
				return k.errorf(at+".number", "%q is that of device %s already; numbers of an access point's ports are unique", port.Number, other.Device)
			}
			point.Ports = append(point.Ports, port)
		}
		k.config.Settings.AccessPoints = append(k.config.Settings.AccessPoints, point)
	}
	return nil
}

// isID says whether a word can be the id of something that the operator names.
func isID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-", r) })
}
