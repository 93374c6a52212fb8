package audit

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// BenchmarkRecord: a call that reads, as a client of today makes it.
func BenchmarkRecord(b *testing.B) {
	l, err := Open(Config{Dir: b.TempDir(), MaxSize: 100, Files: 2, Keep: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	e := Event{
		Time: time.Now(), Name: "DescribeForwardTableEntries", Source: "127.0.0.1:8680", RequestID: "6EF60BEC-0242-43AF-BB20-270359FB54A7", SourceAddress: "192.0.2.1",
		UserAgent: "AlibabaCloud (linux; amd64) Golang/1.26 Core/1.0", Identity: Identity{Type: Root, PrincipalID: "1234567890123456", AccountID: "1234567890123456", AccessKeyID: "LTAI1234567890", UserName: "default"},
		Parameters: []Member{{Name: "RegionId", Value: "cn-hangzhou"}, {Name: "ForwardTableId", Value: "ftb-11tc6xgmv"}, {Name: "PageNumber", Value: "7"}, {Name: "PageSize", Value: "50"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Record(&e)
	}
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
