package monitor

import (
	"cmp"
	"encoding/binary"
	"slices"

	bbolt "go.etcd.io/bbolt"
)

// gather puts the minutes of hours that are over together by number.
func (v volumes) gather(end int64) error {
	for {
		first, _ := v.minutes.Cursor().First()
		if first == nil {
			return nil
		}
		begin := time8(first) / hour * hour
		if begin+hour > end {
			return nil
		}
		if err := v.gatherHour(begin); err != nil {
			return err
		}
	}
}

func (v volumes) gatherHour(begin int64) error {
	var watched uint64
	of := map[uint32][]MinuteOf{}
	c := v.minutes.Cursor()
	for key, b := c.Seek(stamp(begin)); key != nil && time8(key) < begin+hour; key, b = c.Seek(stamp(begin)) {
		minute := (time8(key) - begin) / Minute
		watched |= 1 << minute
		rows, err := unsealed(b)
		if err != nil {
			return err
		}
		for i := range len(rows) / rowSize {
			r := rowAt(rows, i)
			of[r.number] = append(of[r.number], MinuteOf{uint8(minute), r.Passed})
		}
		if err := c.Delete(); err != nil {
			return err
		}
	}
	// A clock that was ahead for a while has had some of the hour put together before.
	together, err := v.watched(begin)
	if err != nil {
		return err
	}
	if together != 0 {
		for n := range of {
			b := v.hours.Get(hourKey(begin, n))
			if b == nil {
				continue
			}
			var old [minutesOf]Passed
			if err := parseHour(b, &old); err != nil {
				return err
			}
			for i, p := range old {
				if p != (Passed{}) {
					of[n] = append(of[n], MinuteOf{uint8(i), p})
				}
			}
			slices.SortFunc(of[n], func(a, b MinuteOf) int { return cmp.Compare(a.Minute, b.Minute) })
		}
	}
	return v.putHour(begin, watched|together, of)
}

// watched returns which minutes of an hour that are together were watched, a bit for each; 0 if
// none are.
func (v volumes) watched(begin int64) (uint64, error) { return watchedOf(v.hours, begin) }

// putHour keeps an hour, of which the minutes that have a bit were watched.
func (v volumes) putHour(begin int64, watched uint64, of map[uint32][]MinuteOf) error {
	if err := v.hours.Put(hourKey(begin, 0), sealed(binary.BigEndian.AppendUint64(nil, watched))); err != nil {
		return err
	}
	numbers := make([]uint32, 0, len(of))
	for n := range of {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		var b []byte
		for _, at := range of[n] {
			b = append(b, at.Minute)
			for _, x := range [...]uint64{at.Outbound.Bytes, at.Outbound.Packets, at.Inbound.Bytes, at.Inbound.Packets} {
				b = binary.AppendUvarint(b, x)
			}
		}
		if err := v.hours.Put(hourKey(begin, n), sealed(b)); err != nil {
			return err
		}
	}
	return nil
}

// ImportHour keeps an hour that was recorded elsewhere, in place of one that is there: of
// each id what passed in its minutes, all of which were watched. Times are in seconds since
// 1970; begin is a whole hour.
func (m *Minutes) ImportHour(begin int64, of map[string][]MinuteOf) error {
	err := m.update(func(tx *bbolt.Tx) error {
		v, err := volumesOf(tx)
		if err != nil {
			return err
		}
		numbers := make(map[uint32][]MinuteOf, len(of))
		for id, minutes := range of {
			n, _, err := v.number(id, begin+hour)
			if err != nil {
				return err
			}
			numbers[n] = minutes
		}
		return v.putHour(begin, 1<<minutesOf-1, numbers)
	})
	if err != nil {
		return m.explain(err)
	}
	return nil
}
