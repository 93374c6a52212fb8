package aliyun

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"

	"sluice/api/edge"
	"sluice/controlplane/identity"
)

type pageActions struct {
	Actions
	page *DescribeForwardTableEntriesResponse
}

func (a *pageActions) DescribeForwardTableEntries(context.Context, identity.Caller, *DescribeForwardTableEntriesRequest) (*DescribeForwardTableEntriesResponse, error) {
	r := *a.page
	return &r, nil
}

// BenchmarkSite: signed calls over keep-alive connections of the loopback,
// client and server in one process, a page of 50 entries each.
func BenchmarkSite(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	s := &edge.Site{Listener: l, Log: log, Connections: edge.NewConnections(edge.Places{Total: 1024}, log),
		Handler: edge.NewServer(edge.Config{Families: []edge.Family{NewFamily(&pageActions{page: page(50)}, nil)}, Keys: testKeys, Log: log,
			PerKey: edge.Rate{PerSecond: 1e9, Burst: 1e9}, Total: edge.Rate{PerSecond: 1e9, Burst: 1e9}})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	c := NewClient(l.Addr().String(), "id", "secret")
	defer c.HTTP.CloseIdleConnections()
	b.SetParallelism(4)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Call(context.Background(), "DescribeForwardTableEntries", map[string]string{"RegionId": "cn-hangzhou", "ForwardTableId": "ftb-11tc6xgmv", "PageSize": "50"}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
