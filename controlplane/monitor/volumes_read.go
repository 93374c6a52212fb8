package monitor

import (
	"encoding/binary"
	"fmt"

	bbolt "go.etcd.io/bbolt"
)

// ReadVolumes calls each with what passed an elastic IP or package in each minute that was
// watched and begins from one time up to before another, in order; nothing passed in a
// minute that is not the id's. each must not call the file's methods.
func (m *Minutes) ReadVolumes(id string, from, before int64, each func(begin int64, p Passed)) error {
	err := m.view(func(tx *bbolt.Tx) error {
		all := tx.Bucket(volumesBucket)
		if all == nil {
			return nil
		}
		number := uint32(0) // that of nothing
		if b := all.Bucket(numbersBucket).Get([]byte(id)); len(b) == 12 {
			number = binary.BigEndian.Uint32(b)
		}
		hours, minutes := all.Bucket(hourlyBucket), all.Bucket(minutesBucket)
		for begin := from / hour * hour; begin < before; begin += hour {
			gathered, err := readHour(hours, begin, number, from, before, each)
			if err == nil && !gathered {
				err = readMinutes(minutes, begin, number, from, before, each)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return m.explain(fmt.Errorf("read the minutes of %s: %w", id, err))
	}
	return nil
}

// readHour reads an hour whose minutes are together, and says whether it is there.
func readHour(hours *bbolt.Bucket, begin int64, number uint32, from, before int64, each func(int64, Passed)) (bool, error) {
	b := hours.Get(hourKey(begin, 0))
	if b == nil {
		return false, nil
	}
	b, err := unsealed(b)
	if err != nil || len(b) != 8 {
		return true, errBlock
	}
	watched := binary.BigEndian.Uint64(b)
	var of [minutesOf]Passed
	if b := hours.Get(hourKey(begin, number)); number > 0 && b != nil {
		if err := parseHour(b, &of); err != nil {
			return true, err
		}
	}
	for i := range int64(minutesOf) {
		if at := begin + i*Minute; watched>>i&1 == 1 && at >= from && at < before {
			each(at, of[i])
		}
	}
	return true, nil
}

func parseHour(b []byte, of *[minutesOf]Passed) error {
	b, err := unsealed(b)
	if err != nil {
		return err
	}
	for len(b) > 0 {
		at := b[0]
		if at >= minutesOf {
			return errBlock
		}
		b = b[1:]
		p := &of[at]
		for _, x := range [...]*uint64{&p.Outbound.Bytes, &p.Outbound.Packets, &p.Inbound.Bytes, &p.Inbound.Packets} {
			v, n := binary.Uvarint(b)
			if n <= 0 {
				return errBlock
			}
			*x, b = v, b[n:]
		}
	}
	return nil
}

// readMinutes reads those minutes of an hour that are not together yet.
func readMinutes(minutes *bbolt.Bucket, begin int64, number uint32, from, before int64, each func(int64, Passed)) error {
	c := minutes.Cursor()
	for key, b := c.Seek(stamp(max(begin, from))); key != nil && time8(key) < min(begin+hour, before); key, b = c.Next() {
		// The checksum is over the rows of everything, which are not read here.
		if len(b) < 4 || (len(b)-4)%rowSize != 0 {
			return errBlock
		}
		p, _ := findRow(b[:len(b)-4], number)
		each(time8(key), p)
	}
	return nil
}
