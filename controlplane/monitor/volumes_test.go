package monitor

import (
	"fmt"
	"math/rand/v2"
	"testing"

	bbolt "go.etcd.io/bbolt"

	"sluice/dataplane"
)

// passed returns n packets each way, of other sizes.
func passed(n uint64) Passed {
	return Passed{Outbound: dataplane.Volume{Bytes: 100 * n, Packets: n}, Inbound: dataplane.Volume{Bytes: 1000 * n, Packets: n}}
}

// TestVolumes records random minutes of random ids, some of them left out, and compares
// what is read of any id in any span with a list of what was said.
func TestVolumes(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	m := newFile(t)
	const minutes, ids = 400, 12
	var watched [minutes]bool
	var want [ids][minutes]Passed
	var counters, before [ids]Passed
	var known [ids]bool // in the reading before
	var heardOf [ids]bool
	last := -1 // minute at whose beginning the reading before was
	for at := range minutes + 1 {
		end := begin + int64(at)*Minute
		if rnd.IntN(15) == 0 {
			for id := range ids {
				counters[id] = counters[id].plus(passed(rnd.Uint64N(100)))
			}
			continue // nobody reads
		}
		var reading []Volume
		fresh := rnd.IntN(30) == 0
		watch := last == at-1 && last >= 0 && !fresh
		if watch {
			watched[at-1] = true
		}
		for id := range ids {
			grown := Passed{}
			if rnd.IntN(3) > 0 {
				grown = passed(rnd.Uint64N(1 << rnd.IntN(40)))
			}
			switch {
			case rnd.IntN(40) == 0:
				counters[id] = grown // began anew
			default:
				counters[id] = counters[id].plus(grown)
			}
			there := rnd.IntN(20) > 0 && at >= 10*id
			if there {
				reading = append(reading, Volume{fmt.Sprint("eip-", id), counters[id]})
			}
			if there && watch && (known[id] || !heardOf[id]) {
				want[id][at-1] = counters[id].since(before[id])
			}
			if known[id] = there; there {
				heardOf[id], before[id] = true, counters[id]
			}
		}
		rnd.Shuffle(len(reading), func(i, j int) { reading[i], reading[j] = reading[j], reading[i] })
		if err := m.RecordVolumes(end, reading, fresh, 0); err != nil {
			t.Fatal(err)
		}
		last = at
	}
	for range 200 {
		id := rnd.IntN(ids + 1) // the last one nobody has heard of
		from := rnd.IntN(minutes)
		to := from + rnd.IntN(minutes-from+1)
		at := from
		err := m.ReadVolumes(fmt.Sprint("eip-", id), begin+int64(from)*Minute, begin+int64(to)*Minute, func(when int64, p Passed) {
			for at < to && !watched[at] {
				at++
			}
			expected := Passed{}
			if id < ids && at < minutes {
				expected = want[id][at]
			}
			if when != begin+int64(at)*Minute || p != expected {
				t.Errorf("eip-%d, minute %d: %+v at %d, want %+v", id, at, p, (when-begin)/Minute, expected)
			}
			at++
		})
		if err != nil {
			t.Fatal(err)
		}
		for ; at < to; at++ {
			if watched[at] {
				t.Errorf("eip-%d: minute %d is not there", id, at)
			}
		}
	}
}

// TestVolumesAgain: a minute that is kept stays as it is when the clock is set back, also
// when its hour is over.
func TestVolumesAgain(t *testing.T) {
	m := newFile(t)
	record := func(end int64, n uint64) {
		t.Helper()
		if err := m.RecordVolumes(end, []Volume{{"eip-1", passed(n)}}, false, 0); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(180) {
		record(begin+i*Minute, uint64(10*i))
	}
	for i := range int64(60) {
		record(begin+i*Minute, uint64(10_000+i))
	}
	n := 0
	err := m.ReadVolumes("eip-1", begin, begin+59*Minute, func(_ int64, p Passed) {
		n++
		if p != passed(10) {
			t.Errorf("%+v", p)
		}
	})
	if err != nil || n != 59 {
		t.Errorf("%d minutes, %v", n, err)
	}
}

// TestVolumesPrune: what is too old goes, and of an id that is gone its number, too.
func TestVolumesPrune(t *testing.T) {
	m := newFile(t)
	const hours = 10
	for i := range int64(hours * 60) {
		reading := []Volume{{"eip-1", passed(uint64(i))}}
		if i < 60 {
			reading = append(reading, Volume{"eip-2", passed(uint64(i))})
		}
		end := begin + i*Minute
		if err := m.RecordVolumes(end, reading, false, end-3*hour); err != nil {
			t.Fatal(err)
		}
	}
	count := func(id string) (n int) {
		if err := m.ReadVolumes(id, begin, begin+hours*hour, func(int64, Passed) { n++ }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count("eip-1"); n < 180 || n > 240 {
		t.Errorf("%d minutes are kept of three hours", n)
	}
	err := m.view(func(tx *bbolt.Tx) error {
		if tx.Bucket(volumesBucket).Bucket(numbersBucket).Get([]byte("eip-2")) != nil {
			t.Error("eip-2 still has a number")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestVolumesDamage: what is not what was written is an error that says so.
func TestVolumesDamage(t *testing.T) {
	m := newFile(t)
	for i := range int64(130) {
		if err := m.RecordVolumes(begin+i*Minute, []Volume{{"eip-1", passed(uint64(i))}}, false, 0); err != nil {
			t.Fatal(err)
		}
	}
	err := m.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(volumesBucket).Bucket(hourlyBucket)
		key := hourKey(begin/hour*hour, 1)
		bad := append([]byte(nil), b.Get(key)...)
		bad[len(bad)/2] ^= 1
		return b.Put(key, bad)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.ReadVolumes("eip-1", begin, begin+hour, func(int64, Passed) {}); err == nil {
		t.Error("nothing was noticed")
	}
}
