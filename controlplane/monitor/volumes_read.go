package monitor

import (
	"encoding/binary"
	"fmt"
	"math"

	bbolt "go.etcd.io/bbolt"
)

// ReadVolumes calls each with what passed an elastic IP or package in each minute that was
// watched and begins from one time up to before another, hour by hour; nothing passed in a
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
		loose := int64(math.MaxInt64) // where minutes begin that are not together
		if key, _ := minutes.Cursor().First(); key != nil {
			loose = time8(key)
		}
		for begin := from / hour * hour; begin < before; begin += hour {
			err := readHour(hours, begin, number, from, before, each)
			if err == nil && begin+hour > loose {
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

// watchedOf returns which minutes of an hour that are together were watched, a bit for each.
func watchedOf(hours *bbolt.Bucket, begin int64) (uint64, error) {
	b := hours.Get(hourKey(begin, 0))
	if b == nil {
		return 0, nil
	}
	b, err := unsealed(b)
	if err != nil || len(b) != 8 {
		return 0, errBlock
	}
	return binary.BigEndian.Uint64(b), nil
}

// readHour reads those minutes of an hour that are together.
func readHour(hours *bbolt.Bucket, begin int64, number uint32, from, before int64, each func(int64, Passed)) error {
	watched, err := watchedOf(hours, begin)
	if err != nil || watched == 0 {
		return err
	}
	var of [minutesOf]Passed
	if b := hours.Get(hourKey(begin, number)); number > 0 && b != nil {
		if err := parseHour(b, &of); err != nil {
			return err
		}
	}
	for i := range int64(minutesOf) {
		if at := begin + i*Minute; watched>>i&1 == 1 && at >= from && at < before {
			each(at, of[i])
		}
	}
	return nil
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
