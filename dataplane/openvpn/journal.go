package openvpn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"sluice/dataplane"
)

const (
	rawLimit   = 1 << 20  // bytes that OpenVPN's own log may have, while it is looked after
	keptSize   = 4 << 20  // of a file of the log that is kept
	keptFiles  = 4        // older ones
	rawMost    = 8 << 20  // when it logs more than can be taken
	rawFull    = 32 << 20 // when nobody takes it; it is in memory, mostly
	atOnce     = 1 << 20  // bytes that are taken from OpenVPN's log at once
	longestLog = 1 << 13  // of a line; OpenVPN writes none that long
	stampForm  = "2006-01-02T15:04:05.000000Z"
)

// How many lines about packets of whoever has not the server's key are kept in a second:
// they would be all that there is of the log.
const (
	keylessRate  = rate.Limit(2)
	keylessBurst = 100
)

// ownWords is how OpenVPN logs what it is told over its management interface.
const ownWords = "MANAGEMENT: CMD "

// journal takes what OpenVPN logs into files that are kept: OpenVPN appends to one of its
// own, which is emptied when all of it is taken. What it logs while there is no daemon is
// taken by the next one.
type journal struct {
	raw string // OpenVPN's
	dir string // of those that are kept

	full  int64         // bytes that OpenVPN's may have
	limit *rate.Limiter // of lines about packets without the key
	left  int           // of them that were left out

	mu sync.Mutex // while files get other names
}

func (j *journal) path(n int) string {
	if n == 0 {
		return filepath.Join(j.dir, logFile)
	}
	return filepath.Join(j.dir, logFile+"."+strconv.Itoa(n))
}

// newJournal returns that of a server with files in dir, which keeps the log in another one.
// OpenVPN's own has full bytes at most.
func newJournal(dir, kept string, full int64) *journal {
	return &journal{raw: filepath.Join(dir, logFile), dir: kept, full: full, limit: rate.NewLimiter(keylessRate, keylessBurst)}
}

// take hands over the lines that OpenVPN has logged since an offset of its file, with the
// offset of what comes next, and returns the last one. An error may be of what could not be
// kept, and was handed over all the same.
func (j *journal) take(offset int64, hear func([]logLine, int64)) (int64, error) {
	f, err := os.OpenFile(j.raw, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return offset, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return offset, err
	}
	if st.Size() < offset {
		offset = 0 // somebody has emptied it
	}
	var kept error
	for offset < st.Size() { // and not what comes meanwhile, which may be without an end
		lines, next, err := j.some(f, offset)
		kept = errors.Join(kept, err)
		if next == offset {
			break
		}
		offset = next
		hear(lines, offset)
	}
	if offset < rawLimit {
		return offset, kept
	}
	// OpenVPN appends, so it goes on at the beginning. Had it logged something since, that
	// is for the next time; what it logs between these two calls is lost. So is what it
	// logs without a pause, when there is no room for that any more.
	if st, err = f.Stat(); err == nil && (st.Size() == offset || st.Size() > min(rawMost, j.full-1)) {
		if st.Size() >= j.full {
			kept = errors.Join(kept, j.keep(fmt.Appendf(nil, "%s sluiced: OpenVPN's log was full, of %d bytes; what came after is lost\n", time.Now().UTC().Format(stampForm), st.Size())))
		}
		if err = f.Truncate(0); err == nil {
			offset = 0
		}
	}
	return offset, errors.Join(kept, err)
}

// some takes what is there, but not all of it if that is much.
func (j *journal) some(f *os.File, offset int64) ([]logLine, int64, error) {
	st, err := f.Stat()
	if err != nil || st.Size() <= offset {
		return nil, offset, err
	}
	buf := make([]byte, min(st.Size()-offset, atOnce))
	n, err := f.ReadAt(buf, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, offset, err
	}
	whole := bytes.LastIndexByte(buf[:n], '\n') + 1
	if whole == 0 && n == atOnce {
		whole = n // no line is that long
	}
	var lines []logLine
	var out bytes.Buffer
	for text := range strings.Lines(string(buf[:whole])) {
		text = strings.TrimRight(text, "\r\n\x00")
		if text == "" {
			continue
		}
		if len(text) > longestLog {
			text = text[:longestLog]
		}
		l, ok := parseLog(text)
		if !ok {
			l.time = time.Now()
			if len(lines) > 0 {
				l.time = lines[len(lines)-1].time
			}
		}
		if l.text == ownWords+"'"+statusCommand+"'" || l.text == ownWords+"'"+logCommand+"'" {
			continue // it is us, again and again
		}
		lines = append(lines, l)
		stamp := l.time.UTC().Format(stampForm)
		if keyless(l.text) && !j.limit.AllowN(l.time, 1) {
			j.left++
			continue
		}
		if j.left > 0 {
			fmt.Fprintf(&out, "%s sluiced: %d lines about packets without the server's tls-crypt key are left out\n", stamp, j.left)
			j.left = 0
		}
		fmt.Fprintf(&out, "%s %s\n", stamp, l.text)
	}
	// What cannot be kept is lost to whoever reads the log, but not to who counts sessions.
	if err = j.keep(out.Bytes()); err != nil {
		err = fmt.Errorf("keep OpenVPN's log: %w", err)
	}
	return lines, offset + int64(whole), err
}

// keyless says whether a line is about a packet of whoever has not the server's key: OpenVPN
// writes two for each.
func keyless(text string) bool {
	return strings.Contains(text, "tls-crypt unwrap error: ") || strings.Contains(text, "TLS Error: tls-crypt unwrapping failed")
}

// keep appends to the file that is kept, and begins a new one if it is long.
func (j *journal) keep(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if st, err := os.Stat(j.path(0)); err == nil && st.Size() > keptSize {
		for n := keptFiles; n > 0; n-- {
			if err := os.Rename(j.path(n-1), j.path(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(j.path(0), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// lines returns what is kept of a span of time, both ends included.
func (j *journal) lines(from, to time.Time) ([]dataplane.SSLLine, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []dataplane.SSLLine
	for n := keptFiles; n >= 0; n-- {
		f, err := os.Open(j.path(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		in := bufio.NewScanner(f)
		in.Buffer(nil, 2*longestLog)
		for in.Scan() {
			stamp, text, _ := strings.Cut(in.Text(), " ")
			t, err := time.Parse(stampForm, stamp)
			if err == nil && !t.Before(from) && !t.After(to) {
				out = append(out, dataplane.SSLLine{Time: t, Text: text})
			}
		}
		f.Close()
		if err := in.Err(); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name(), err)
		}
	}
	return out, nil
}
