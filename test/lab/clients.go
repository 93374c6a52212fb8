package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"time"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/api/tencent3"
)

// Client returns a client of the signed API, with the lab's access key.
func (l *Lab) Client() (*aliyun.Client, error) {
	s, err := l.state()
	if err != nil {
		return nil, err
	}
	return l.client(s)
}

func (l *Lab) client(s *state) (*aliyun.Client, error) {
	c := aliyun.NewClient(s.endpoint(), s.AccessKeyID, s.AccessKeySecret)
	return c, l.trusted(s, c.Trust)
}

// vswitchWait is how long HostAdd waits for a VSwitch to become Available.
const vswitchWait = 20 * time.Second

// awaitVSwitch returns the VPC and the CIDR block of a host's VSwitch once it is there.
func (l *Lab) awaitVSwitch(ctx context.Context, o HostOptions) (vpc string, block netip.Prefix, err error) {
	s, err := l.state()
	if err != nil {
		return "", block, err
	}
	c, id := o.Client, o.VSwitch
	if c == nil {
		if c, err = l.client(s); err != nil {
			return "", block, err
		}
		defer c.HTTP.CloseIdleConnections()
	}
	ctx, cancel := context.WithTimeout(ctx, vswitchWait)
	defer cancel()
	var final error
	err = Await(ctx, "wait for VSwitch "+id, func() error {
		var answer aliyun.DescribeVSwitchesResponse
		if err := c.CallInto(ctx, "DescribeVSwitches", map[string]string{"RegionId": cmp.Or(o.Region, s.Region), "VSwitchId": id}, &answer); err != nil {
			final = err
			cancel()
			return err
		}
		found := answer.VSwitches.VSwitch
		if len(found) != 1 {
			final = fmt.Errorf("there is no VSwitch %s for this account; list them with: sluicectl call DescribeVSwitches", id)
			cancel()
			return final
		}
		if found[0].Status != "Available" {
			return fmt.Errorf("it is %s; the reason stands in: sluicectl status", found[0].Status)
		}
		vpc = found[0].VpcId
		block, final = netip.ParsePrefix(found[0].CidrBlock)
		return nil
	})
	if final != nil {
		return "", block, final
	}
	return vpc, block, err
}

// Admin returns a client of the admin socket; it is to be closed.
func (l *Lab) Admin() (*admin.Client, error) { return admin.Dial(l.AdminSocket()) }

func (l *Lab) withAdmin(fn func(c *admin.Client) error) error {
	c, err := l.Admin()
	if err != nil {
		return err
	}
	defer c.Close()
	return fn(c)
}

func (l *Lab) probeAdmin(ctx context.Context) error {
	return l.withAdmin(func(c *admin.Client) error { return c.Ready(ctx) })
}

// makeAccessKey makes the key that the lab's clients use.
func (l *Lab) makeAccessKey(ctx context.Context) error {
	return l.change(func(s *state) error {
		return l.withAdmin(func(c *admin.Client) error {
			k, err := c.CreateAccessKey(ctx, admin.NewAccessKey{})
			if err != nil {
				return fmt.Errorf("make an access key: %w", err)
			}
			s.Account, s.AccessKeyID, s.AccessKeySecret = k.Account, k.ID, k.Secret
			return nil
		})
	})
}

// usedAddresses returns the addresses of a VSwitch that the inventory knows.
func (l *Lab) usedAddresses(ctx context.Context, vswitch string) (map[netip.Addr]bool, error) {
	used := map[netip.Addr]bool{}
	err := l.withAdmin(func(c *admin.Client) error {
		list, err := c.Instances(ctx, admin.InstanceFilter{VSwitch: vswitch})
		if err != nil {
			return fmt.Errorf("read the inventory: %w", err)
		}
		for _, i := range list {
			if a, err := netip.ParseAddr(i.PrivateIP); err == nil {
				used[a] = true
			}
		}
		havips, err := c.HaVips(ctx)
		if err != nil {
			return fmt.Errorf("read the HaVips: %w", err)
		}
		for _, h := range havips {
			if a, err := netip.ParseAddr(h.PrivateIP); err == nil && h.VSwitch == vswitch {
				used[a] = true
			}
		}
		return nil
	})
	return used, err
}

// register puts a host into the inventory.
func (l *Lab) register(ctx context.Context, h *Host) error {
	return l.withAdmin(func(c *admin.Client) error {
		in := admin.NewInstance{ID: h.InstanceID, VSwitch: h.VSwitch, PrivateIP: h.IP().String(), MAC: h.MAC}
		for _, a := range h.Further {
			in.Further = append(in.Further, a.String())
		}
		_, err := c.AddInstance(ctx, in)
		if err != nil {
			return fmt.Errorf("register it in the inventory: %w", err)
		}
		h.Registered = true
		return nil
	})
}

// unregister takes a host out of the inventory; that it is not in there any
// more is fine.
func (l *Lab) unregister(ctx context.Context, h *Host) error {
	return l.withAdmin(func(c *admin.Client) error {
		err := c.RemoveInstance(ctx, h.InstanceID)
		var refused *admin.Error
		if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("take it out of the inventory: %w", err)
		}
		h.Registered = false
		return nil
	})
}

// TencentClient returns a client of Tencent Cloud's API 3.0, in the lab's region.
func (l *Lab) TencentClient() (*tencent3.Client, error) {
	s, err := l.state()
	if err != nil {
		return nil, err
	}
	c := tencent3.NewClient(s.endpoint(), s.AccessKeyID, s.AccessKeySecret, s.Region)
	return c, l.trusted(s, c.Trust)
}

// trusted hands over what clients of a lab with TLS have to trust.
func (l *Lab) trusted(s *state, trust func([]byte) error) error {
	if !s.TLS {
		return nil
	}
	text, err := os.ReadFile(l.CAFile())
	if err == nil {
		err = trust(text)
	}
	if err != nil {
		return fmt.Errorf("trust %s: %w", l.CAFile(), err)
	}
	return nil
}
