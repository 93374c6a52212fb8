package monitor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	bbolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"sluice/controlplane/store/boltfile"
)

// The layout of the file. Minutes holds a bucket for each NAT gateway, with a
// block of what happened in a minute under the beginning of that minute.
// Baselines holds, by gateway, the reading that the next minute is counted from.
// Times are seconds since 1970 in 8 bytes, big-endian.
var (
	metaBucket      = []byte("meta")
	minutesBucket   = []byte("minutes")
	baselinesBucket = []byte("baselines")
	formatKey       = []byte("format")
)

// format is raised when the layout changes.
const format = 1

// What one transaction deletes at most, so that it stays short when much has
// gone at once: of each gateway more minutes than come, and some more in all, by
// which arrears are made up for.
const (
	pruneEach  = 2
	pruneBatch = 500
)

// Minutes is the file of minutes. Its methods may be called concurrently, and
// by one process at a time.
type Minutes struct {
	db   *bbolt.DB
	path string
}

// Open opens the file, or makes it, with mode 0600. Another process that has it
// open is waited for for as long as patience; then the error says so. Damage
// that is in the way of opening is an error, and the file is left as it is;
// other damage shows when what is damaged is read.
func Open(path string, patience time.Duration) (*Minutes, error) {
	m := &Minutes{path: path}
	patience = max(patience, time.Millisecond) // 0 would wait for ever
	if err := boltfile.Establish(path, patience, layOut); err != nil {
		return nil, m.explain(err)
	}
	db, err := boltfile.Open(path, patience)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("minutes %s are in use by another process: is sluiced running already?", path)
	case err != nil:
		return nil, m.explain(err)
	}
	m.db = db
	if err := m.prepare(); err != nil {
		return nil, errors.Join(m.explain(err), db.Close())
	}
	return m, nil
}

func layOut(tx *bbolt.Tx) error {
	for _, name := range [][]byte{minutesBucket, baselinesBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta, err := tx.CreateBucket(metaBucket)
	if err != nil {
		return err
	}
	return meta.Put(formatKey, stamp(format))
}

func (m *Minutes) prepare() error {
	if err := os.Chmod(m.path, 0o600); err != nil {
		return err
	}
	if err := boltfile.Whole(m.db); err != nil {
		return err
	}
	return m.view(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil || tx.Bucket(minutesBucket) == nil || tx.Bucket(baselinesBucket) == nil {
			return errors.New("it is a database of something else; move it away")
		}
		if f := time8(meta.Get(formatKey)); f != format {
			return fmt.Errorf("format %d is not known, only %d: it was written by another version", f, format)
		}
		return nil
	})
}

// explain names the file, and what to do about damage.
func (m *Minutes) explain(err error) error {
	if errors.Is(err, errBlock) {
		err = fmt.Errorf("%w: %w", err, boltfile.ErrDamaged)
	}
	if errors.Is(err, boltfile.ErrDamaged) {
		return fmt.Errorf("minutes %s: %w; restore it from a backup, or move it away to go on without the minutes that have passed", m.path, err)
	}
	return fmt.Errorf("minutes %s: %w", m.path, err)
}

// view and update are bbolt's, with damage as an error.
func (m *Minutes) view(fn func(*bbolt.Tx) error) (err error) {
	defer boltfile.Trap(&err)()
	return m.db.View(fn)
}

func (m *Minutes) update(fn func(*bbolt.Tx) error) (err error) {
	defer boltfile.Trap(&err)()
	return m.db.Update(fn)
}

// Close closes the file.
func (m *Minutes) Close() error {
	if err := m.db.Close(); err != nil {
		return fmt.Errorf("close minutes %s: %w", m.path, err)
	}
	return nil
}

// Reading is the counters of a NAT gateway's network at the end of a minute.
type Reading struct {
	Gateway string
	Epoch   uint64 // of the counters: another one means that they began at 0 again
	Rows    []Row  // cumulative, ascending by address
	// Apart holds addresses of which nothing is reported: what they send does
	// not pass the gateway.
	Apart map[netip.Addr]bool
	// Fresh says that it can't be told how long it was since the reading before:
	// what has been counted since then belongs to no minute.
	Fresh bool
}

// Record takes the readings at the end of a minute. For each gateway that was
// read a minute before too, it keeps what happened between the two readings; for
// each, it keeps the reading, to count the next minute from. A minute that is
// kept already stays as it is.
//
// Record then deletes what began before oldest, and all of gateways that are
// not there any more, some of it each time. It is one transaction: a crash
// leaves all of it or none.
//
// The times are in seconds since 1970; end is a whole minute.
func (m *Minutes) Record(end int64, readings []Reading, there func(gateway string) bool, oldest int64) error {
	if len(readings) == 0 {
		if idle, err := m.idle(); err != nil || idle {
			return err
		}
	}
	err := m.update(func(tx *bbolt.Tx) error {
		for _, r := range readings {
			if err := record(tx, end, r); err != nil {
				return fmt.Errorf("record NAT gateway %s: %w", r.Gateway, err)
			}
		}
		return prune(tx, there, oldest)
	})
	if err != nil {
		return m.explain(err)
	}
	return nil
}

// First returns the beginning of the oldest minute that is kept of anything, in seconds
// since 1970; there is false if none is.
func (m *Minutes) First() (begin int64, there bool, err error) {
	least := func(b *bbolt.Bucket) {
		if b == nil {
			return
		}
		if key, _ := b.Cursor().First(); len(key) >= 8 {
			if at := time8(key[:8]); !there || at < begin {
				begin, there = at, true
			}
		}
	}
	err = m.view(func(tx *bbolt.Tx) error {
		minutes := tx.Bucket(minutesBucket)
		if all := tx.Bucket(volumesBucket); all != nil {
			least(all.Bucket(minutesBucket))
			least(all.Bucket(hourlyBucket))
		}
		return minutes.ForEachBucket(func(id []byte) error {
			least(minutes.Bucket(id))
			return nil
		})
	})
	if err != nil {
		return 0, false, m.explain(err)
	}
	return begin, there, nil
}

// idle says whether the file is empty: a transaction about nothing would write
// to the disk all the same.
func (m *Minutes) idle() (idle bool, err error) {
	err = m.view(func(tx *bbolt.Tx) error {
		minute, _ := tx.Bucket(minutesBucket).Cursor().First()
		baseline, _ := tx.Bucket(baselinesBucket).Cursor().First()
		idle = minute == nil && baseline == nil
		return nil
	})
	if err != nil {
		return false, m.explain(err)
	}
	return idle, nil
}

func record(tx *bbolt.Tx, end int64, r Reading) error {
	baselines, id := tx.Bucket(baselinesBucket), []byte(r.Gateway)
	before, err := parseBaseline(baselines.Get(id))
	if err != nil {
		return err
	}
	known := before != nil && before.epoch == r.Epoch && !r.Fresh
	switch {
	case known && before.end == end:
		// The clock has been set back a little while the daemon was down. The
		// minute is counted from its first end: nothing gets lost in between.
		return nil
	case known && before.end == end-Minute:
		if err := keep(tx, id, end-Minute, growthOf(r.Rows, before.rows), r.Apart); err != nil {
			return err
		}
	}
	return baselines.Put(id, baseline{epoch: r.Epoch, end: end, rows: r.Rows}.bytes())
}

// keep puts a minute that is not there yet. One without any traffic is there
// too, to tell it from one that was not watched.
func keep(tx *bbolt.Tx, gateway []byte, begin int64, rows []Row, apart map[netip.Addr]bool) error {
	b, err := tx.Bucket(minutesBucket).CreateBucketIfNotExists(gateway)
	if err != nil {
		return err
	}
	key := stamp(begin)
	if b.Get(key) != nil {
		return nil
	}
	if len(apart) > 0 {
		passing := rows[:0]
		for _, r := range rows {
			if !apart[r.Address] {
				passing = append(passing, r)
			}
		}
		rows = passing
	}
	b.FillPercent = 1 // minutes come in order
	return b.Put(key, appendBlock(nil, rows))
}

// prune deletes what began before oldest, and what is of gateways that are not
// there.
func prune(tx *bbolt.Tx, there func(string) bool, oldest int64) error {
	minutes, baselines := tx.Bucket(minutesBucket), tx.Bucket(baselinesBucket)
	var gone [][]byte
	budget := pruneBatch
	err := minutes.ForEachBucket(func(id []byte) error {
		b, limit := minutes.Bucket(id), oldest
		if !there(string(id)) {
			limit = 1<<63 - 1
		}
		c := b.Cursor()
		k, _ := c.First()
		for n := 0; k != nil && time8(k) < limit && (n < pruneEach || budget > 0); k, _ = c.First() {
			if err := c.Delete(); err != nil {
				return err
			}
			if n++; n > pruneEach {
				budget--
			}
		}
		if k == nil {
			gone = append(gone, append([]byte(nil), id...))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range gone {
		if err := minutes.DeleteBucket(id); err != nil {
			return err
		}
	}
	gone = nil
	err = baselines.ForEach(func(id, _ []byte) error {
		if !there(string(id)) {
			gone = append(gone, append([]byte(nil), id...))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range gone {
		if err := baselines.Delete(id); err != nil {
			return err
		}
	}
	return nil
}

// Read calls each with the rows of a minute, ascending by address, and says
// whether the minute is there. each must not call the file's methods.
func (m *Minutes) Read(gateway string, begin int64, each func(Row)) (there bool, err error) {
	err = m.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket(minutesBucket).Bucket([]byte(gateway))
		if b == nil {
			return nil
		}
		block := b.Get(stamp(begin))
		if block == nil {
			return nil
		}
		there = true
		return readBlock(block, each)
	})
	if err != nil {
		return false, m.explain(fmt.Errorf("read minute %d of NAT gateway %s: %w", begin, gateway, err))
	}
	return there, nil
}

// baseline is a reading that the next minute is counted from: its epoch and its
// time in 8 bytes each, and the rows as a block.
type baseline struct {
	epoch uint64
	end   int64 // of the minute at whose end it was read
	rows  []Row
}

const baselineHead = 16

func (b baseline) bytes() []byte {
	out := binary.BigEndian.AppendUint64(nil, b.epoch)
	out = append(out, stamp(b.end)...)
	return appendBlock(out, b.rows)
}

// parseBaseline reads what bytes has made; nil is none.
func parseBaseline(b []byte) (*baseline, error) {
	if b == nil {
		return nil, nil
	}
	if len(b) < baselineHead {
		return nil, errBlock
	}
	out := &baseline{epoch: binary.BigEndian.Uint64(b), end: time8(b[8:baselineHead])}
	err := readBlock(b[baselineHead:], func(r Row) { out.rows = append(out.rows, r) })
	return out, err
}

// stamp and time8 write a time as a key, and read it. What is no key is 0.
func stamp(seconds int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(seconds)) }

func time8(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}
