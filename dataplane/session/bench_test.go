package session

import (
	"testing"
	"time"
)

// BenchmarkXDP and BenchmarkIngress measure the shortcut without the driver: ns
// for a packet. The translation leaves the addresses as they are, so that a
// frame can go round until its TTL has run down.
func BenchmarkXDP(b *testing.B) { benchmark(b, switchXDP, xdpRedirected) }

func BenchmarkIngress(b *testing.B) { benchmark(b, switchIngress, tcRedirect) }

func benchmark(b *testing.B, program string, want uint32) {
	for name, of := range map[string]func(from, to, payload string) packet{"UDP": udp, "TCP": tcp} {
		b.Run(name, func(b *testing.B) {
			f := newFixture(b)
			p := directions(of)[0].from
			p.ttl = 255
			f.learned(p, p)
			best := time.Hour
			for b.Loop() {
				verdict, d, err := f.program(program).Benchmark(p.frame(), 250, nil)
				if err != nil || verdict != want {
					b.Fatal(verdict, err)
				}
				best = min(best, d)
			}
			b.ReportMetric(float64(best.Nanoseconds()), "ns/packet")
		})
	}
}
