package monitor

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	bbolt "go.etcd.io/bbolt"

	"sluice/dataplane"
)

// Volumes are asked for by elastic IP or package, over long spans; what a gateway's addresses
// did is asked for by minute, with all addresses. So volumes have a bucket of their own in
// the file, with these in it:
//
//   - numbers: the number of each id that anything is kept of, and until when
//   - reading: the volumes that the next minute is counted from
//   - minutes: what happened in a minute, under its beginning, as rows by number
//   - hours: the minutes of an hour of one number, under the hour's beginning and the
//     number; under number 0 which minutes of the hour were watched
//
// When an hour is over, its minutes are put together by number. Keys only ascend, so that
// the file grows at its end, and an hour of one number is one look-up.
var (
	volumesBucket = []byte("volumes")
	numbersBucket = []byte("numbers")
	readingBucket = []byte("reading")
	hourlyBucket  = []byte("hours")
	readingKey    = []byte("reading")
)

// hour is the length of what is put together, in seconds; minutesOf is how many minutes it has.
const (
	hour      = 60 * Minute
	minutesOf = hour / Minute
)

// pruneHours is how many hours of one number each Record deletes at most, of those that
// are too old: for 10,000 numbers more than come.
const pruneHours = 1000

// Passed is what passed an elastic IP or a package in both directions.
type Passed struct {
	Outbound, Inbound dataplane.Volume
}

func (p Passed) plus(o Passed) Passed {
	sum := func(a, b dataplane.Volume) dataplane.Volume {
		return dataplane.Volume{Bytes: a.Bytes + b.Bytes, Packets: a.Packets + b.Packets}
	}
	return Passed{sum(p.Outbound, o.Outbound), sum(p.Inbound, o.Inbound)}
}

func (p Passed) since(before Passed) Passed {
	return Passed{growth(p.Outbound, before.Outbound), growth(p.Inbound, before.Inbound)}
}

// Volume is what passed one elastic IP or package, by its id.
type Volume struct {
	ID string
	Passed
}

// MinuteOf is what passed in a minute of an hour, 0 to 59.
type MinuteOf struct {
	Minute uint8
	Passed
}

// numbered is a row of a minute, or of a reading.
type numbered struct {
	number uint32
	Passed
}

// rowSize is the length of a row: its number in 4 bytes and four counts in 8 each,
// big-endian. Rows are of one length, so that one is found without reading the others.
const rowSize = 4 + 4*8

func appendRows(b []byte, rows []numbered) []byte {
	for _, r := range rows {
		b = binary.BigEndian.AppendUint32(b, r.number)
		for _, v := range [...]uint64{r.Outbound.Bytes, r.Outbound.Packets, r.Inbound.Bytes, r.Inbound.Packets} {
			b = binary.BigEndian.AppendUint64(b, v)
		}
	}
	return b
}

func rowAt(b []byte, i int) (r numbered) {
	b = b[i*rowSize:]
	r.number = binary.BigEndian.Uint32(b)
	for j, v := range [...]*uint64{&r.Outbound.Bytes, &r.Outbound.Packets, &r.Inbound.Bytes, &r.Inbound.Packets} {
		*v = binary.BigEndian.Uint64(b[4+8*j:])
	}
	return r
}

// findRow finds a number among rows, which ascend.
func findRow(b []byte, number uint32) (Passed, bool) {
	low, high := 0, len(b)/rowSize
	for low < high {
		mid := (low + high) / 2
		if binary.BigEndian.Uint32(b[mid*rowSize:]) < number {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(b)/rowSize {
		if r := rowAt(b, low); r.number == number {
			return r.Passed, true
		}
	}
	return Passed{}, false
}

// RecordVolumes takes what has passed each elastic IP and package since it is counted, at
// the end of a minute. If that was read a minute before, too, it keeps what happened in
// between; what is counted since then, or anew, has begun at 0. A minute that is kept
// already stays as it is. Then it deletes some of what began before oldest. It is one
// transaction. With fresh, what was counted since the reading before belongs to no minute.
func (m *Minutes) RecordVolumes(end int64, reading []Volume, fresh bool, oldest int64) error {
	if len(reading) == 0 {
		if idle, err := m.noVolumes(); err != nil || idle {
			return err
		}
	}
	err := m.update(func(tx *bbolt.Tx) error {
		v, err := volumesOf(tx)
		if err != nil {
			return err
		}
		if err := v.record(end, reading, fresh); err != nil {
			return err
		}
		if err := v.gather(end); err != nil {
			return err
		}
		return v.prune(oldest)
	})
	if err != nil {
		return m.explain(err)
	}
	return nil
}

func (m *Minutes) noVolumes() (idle bool, err error) {
	err = m.view(func(tx *bbolt.Tx) error {
		idle = tx.Bucket(volumesBucket) == nil
		return nil
	})
	if err != nil {
		return false, m.explain(err)
	}
	return idle, nil
}

// volumes are the buckets within a transaction.
type volumes struct{ numbers, reading, minutes, hours *bbolt.Bucket }

func volumesOf(tx *bbolt.Tx) (v volumes, err error) {
	all, err := tx.CreateBucketIfNotExists(volumesBucket)
	if err != nil {
		return v, err
	}
	for _, x := range []struct {
		name []byte
		b    **bbolt.Bucket
	}{{numbersBucket, &v.numbers}, {readingBucket, &v.reading}, {minutesBucket, &v.minutes}, {hourlyBucket, &v.hours}} {
		if *x.b, err = all.CreateBucketIfNotExists(x.name); err != nil {
			return v, err
		}
	}
	v.minutes.FillPercent, v.hours.FillPercent = 1, 1 // keys ascend
	return v, nil
}

func (v volumes) record(end int64, reading []Volume, fresh bool) error {
	now, begun := make([]numbered, 0, len(reading)), map[uint32]bool{}
	for _, r := range reading {
		number, unheardOf, err := v.number(r.ID, end)
		if err != nil {
			return err
		}
		now = append(now, numbered{number, r.Passed})
		if unheardOf {
			begun[number] = true
		}
	}
	slices.SortFunc(now, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	before := v.reading.Get(readingKey)
	if before != nil && (len(before) < 8 || (len(before)-8)%rowSize != 0) {
		return errBlock
	}
	if before != nil && !fresh {
		switch at := time8(before[:8]); at {
		case end:
			return nil // see record
		case end - Minute:
			together, err := v.watched(at / hour * hour)
			if err != nil {
				return err
			}
			if key := stamp(at); v.minutes.Get(key) == nil && together>>(at%hour/Minute)&1 == 0 {
				var rows []numbered
				for _, r := range now {
					earlier, known := findRow(before[8:], r.number)
					// What comes back may have been counted all the time: how much of it
					// is of this minute nobody knows.
					if p := r.since(earlier); p != (Passed{}) && (known || begun[r.number]) {
						rows = append(rows, numbered{r.number, p})
					}
				}
				if err := v.minutes.Put(key, sealed(appendRows(nil, rows))); err != nil {
					return err
				}
			}
		}
	}
	return v.reading.Put(readingKey, appendRows(stamp(end), now))
}

// number returns the number of an id, and gives it one if it is unheard of. Once an hour it
// notes that it still counts.
func (v volumes) number(id string, end int64) (_ uint32, unheardOf bool, _ error) {
	known := v.numbers.Get([]byte(id))
	if len(known) == 12 {
		n := binary.BigEndian.Uint32(known)
		if time8(known[4:]) >= end-hour {
			return n, false, nil
		}
		return n, false, v.numbers.Put([]byte(id), binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, n), uint64(end)))
	}
	n, err := v.numbers.NextSequence()
	if err != nil {
		return 0, false, err
	}
	if n > math.MaxUint32 {
		return 0, false, fmt.Errorf("there have been more elastic IPs and packages than can be told apart")
	}
	return uint32(n), true, v.numbers.Put([]byte(id), binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(n)), uint64(end)))
}

// prune deletes hours that began before oldest, and numbers of which nothing is left.
func (v volumes) prune(oldest int64) error {
	limit := hourKey(oldest/hour*hour, 0)
	c := v.hours.Cursor()
	n := 0
	for key, _ := c.First(); key != nil && bytes.Compare(key, limit) < 0 && n < pruneHours; key, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return nil
	}
	var gone [][]byte
	err := v.numbers.ForEach(func(id, b []byte) error {
		if len(b) == 12 && time8(b[4:]) < oldest-2*hour {
			gone = append(gone, slices.Clone(id))
		}
		return nil
	})
	for _, id := range gone {
		if err == nil {
			err = v.numbers.Delete(id)
		}
	}
	return err
}

func hourKey(begin int64, number uint32) []byte {
	return binary.BigEndian.AppendUint32(stamp(begin), number)
}

// sealed adds a checksum, and unsealed checks and takes it off.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func unsealed(b []byte) ([]byte, error) {
	n := len(b) - crc32.Size
	if n < 0 || crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]) {
		return nil, errBlock
	}
	return b[:n], nil
}
