package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/api/certificate"
	"sluice/api/edge"
	"sluice/config"
)

// serve answers the API once every network has been looked at, so that a
// restarted daemon does not answer before it has adopted what is there.
func (d *daemon) serve(ctx context.Context) error {
	defer notify(d.log, stopping)
	patience := time.NewTimer(readyPatience)
	defer patience.Stop()
	select {
	case <-d.reconciler.Ready():
	case <-patience.C:
		d.log.Warn("some networks have not been looked at yet; serving all the same", "waited", readyPatience)
	case <-ctx.Done():
		return nil
	}
	sites, err := d.sites(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	d.info.ready.Store(true)
	notify(d.log, ready)
	defer d.info.ready.Store(false)
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error {
		d.settled()
		return nil
	})
	for _, site := range sites {
		all.Go(func() error { return site.Run(ctx) })
	}
	return all.Wait()
}

// sites listens, and returns the API's site, and those of one wire family each. They share
// places for connections, and certificates.
func (d *daemon) sites(ctx context.Context) (sites []*edge.Site, err error) {
	defer func() {
		if err != nil {
			for _, s := range sites {
				s.Listener.Close()
			}
		}
	}()
	add := func(address string, handler http.Handler, family string) (net.Addr, error) {
		l, err := listen(ctx, address, d.log)
		if err != nil {
			return nil, err
		}
		site := &edge.Site{Listener: l, Handler: handler, Connections: d.connections, Grace: grace, Log: d.log}
		switch {
		case d.certificates != nil:
			site.GetCertificate = d.certificates.Certificate
		case d.named != nil:
			site.GetCertificate = d.named.Certificate
		}
		sites = append(sites, site)
		d.log.Info("the API listens", "address", l.Addr().String(), "tls", d.config.TLS.On(), "family", family)
		return l.Addr(), nil
	}
	at, err := add(d.config.Listen, d.api, "all")
	if err != nil {
		return sites, err
	}
	d.info.listening(at.String())
	for i, l := range d.config.Listeners {
		family, err := d.family(l.Family)
		if err != nil {
			return sites, err
		}
		if at, err = add(l.Listen, d.api.Only(family), l.Family); err != nil {
			return sites, err
		}
		d.info.listeningAlso(i, at.String())
	}
	return sites, nil
}

// family returns the wire family of a name.
func (d *daemon) family(name string) (edge.Family, error) {
	i := slices.IndexFunc(d.api.Families, func(f edge.Family) bool { return f.Name() == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no wire family %q", name)
	}
	return d.api.Families[i], nil
}

// certificateNames returns the names that a certificate for all listeners has to have.
func certificateNames(c *config.Config) ([]string, error) {
	names, err := certificate.Names(c.Listen, c.TLS.Names)
	for _, l := range c.Listeners {
		if err != nil {
			return nil, err
		}
		names, err = certificate.Names(l.Listen, names)
	}
	return names, err
}
