package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Filter says which lines are wanted: those that agree with all that it has.
type Filter struct {
	Since    time.Time // the zero time: from the beginning
	User     string    // the caller's name, account, access key, or id; empty: any
	Resource string    // a value of the request or the answer; empty: any
}

// line is what a Filter needs to know of one.
type line struct {
	EventTime    time.Time `json:"eventTime"`
	UserIdentity struct {
		PrincipalID string `json:"principalId"`
		AccountID   string `json:"accountId"`
		AccessKeyID string `json:"accessKeyId"`
		UserName    string `json:"userName"`
	} `json:"userIdentity"`
	Parameters map[string]any `json:"requestParameters"`
	Elements   map[string]any `json:"responseElements"`
}

// matches says whether a line is wanted. What is no event, since the daemon was killed
// while it wrote, is not.
func (f Filter) matches(text []byte) bool {
	var l line
	if json.Unmarshal(text, &l) != nil || l.EventTime.IsZero() {
		return false
	}
	u := l.UserIdentity
	return !l.EventTime.Before(f.Since.Truncate(time.Second)) &&
		(f.User == "" || slices.Contains([]string{u.UserName, u.AccountID, u.AccessKeyID, u.PrincipalID}, f.User)) &&
		(f.Resource == "" || names(l.Parameters, f.Resource) || names(l.Elements, f.Resource))
}

// names says whether a value is a word, or a list that has it.
func names(value any, word string) bool {
	switch v := value.(type) {
	case string:
		for item := range strings.SplitSeq(strings.Trim(v, "[]"), ",") {
			if strings.Trim(item, ` "`) == word {
				return true
			}
		}
	case map[string]any:
		for _, m := range v {
			if names(m, word) {
				return true
			}
		}
	}
	return false
}

// Read gives the lines that are wanted to each, the oldest first, without their ends,
// until it returns an error; each may not keep them. With follow it goes on with those
// that are written later, until ctx ends, which is no error then, and calls caught before
// it waits for more.
func (l *Log) Read(ctx context.Context, f Filter, follow bool, each func(text []byte) error, caught func() error) error {
	r := reader{log: l, filter: f, each: each}
	defer r.close()
	for {
		l.mu.Lock()
		grown := l.grown
		l.mu.Unlock()
		if err := r.all(ctx); err != nil {
			if follow && ctx.Err() != nil {
				return nil
			}
			return err
		}
		if !follow {
			return nil
		}
		if err := caught(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-grown:
		}
	}
}

// reader goes through the files as if they were one.
type reader struct {
	log    *Log
	filter Filter
	each   func([]byte) error

	file *os.File
	text *bufio.Reader
	part []byte // of a line whose end has not been written yet
}

// all reads up to the end of the newest file.
func (r *reader) all(ctx context.Context) error {
	for {
		// Before the end of this file is looked for: once there is another one, nothing more
		// is written to it.
		next, err := r.next()
		if err != nil {
			return err
		}
		if r.file != nil {
			if err := r.lines(ctx); err != nil {
				return err
			}
		}
		if next == nil {
			return ctx.Err()
		}
		r.close()
		r.file, r.text = next, bufio.NewReaderSize(next, 64<<10)
	}
}

// lines reads the file up to its end.
func (r *reader) lines(ctx context.Context) error {
	for {
		text, err := r.text.ReadSlice('\n')
		r.part = append(r.part, text...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		whole := bytes.TrimSuffix(r.part, []byte("\n"))
		if r.filter.matches(whole) {
			if err := r.each(whole); err != nil {
				return err
			}
		}
		r.part = r.part[:0]
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// next opens the file that follows the one that is read; nil if there is none. The first
// one is the oldest that can have what is wanted.
func (r *reader) next() (*os.File, error) {
	r.log.disk.Lock()
	defer r.log.disk.Unlock()
	paths, err := files(r.log.Dir)
	if err != nil {
		return nil, err
	}
	begin := 0
	if r.file == nil {
		for begin < len(paths)-1 && ended(paths[begin]).Before(r.filter.Since) {
			begin++
		}
	} else {
		info, err := r.file.Stat()
		if err != nil {
			return nil, err
		}
		for i, path := range paths {
			if other, err := os.Stat(path); err == nil && os.SameFile(info, other) {
				begin = i + 1
			}
		}
		// One that is there no more was older than all that are.
	}
	for _, path := range paths[begin:] {
		f, err := os.Open(path)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) { // else it was too old, and has just been removed
			return nil, err
		}
	}
	return nil, nil
}

func (r *reader) close() {
	if r.file != nil {
		r.file.Close()
	}
}

// stamp is how the time of its end stands in an older file's name.
const stamp = "2006-01-02T15-04-05.000"

// files returns the files of the log, the oldest first.
func files(dir string) ([]string, error) {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var older []string // by name, and so by time
	for _, f := range all {
		if path := filepath.Join(dir, f.Name()); !ended(path).IsZero() {
			older = append(older, path)
		}
	}
	newest := filepath.Join(dir, Name)
	if _, err := os.Stat(newest); err == nil {
		older = append(older, newest)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return older, nil
}

// ended returns when an older file got its name; the zero time for any other.
func ended(path string) time.Time {
	name, isOlder := strings.CutPrefix(filepath.Base(path), "audit-")
	name, isLog := strings.CutSuffix(name, ".log")
	t, err := time.Parse(stamp, name)
	if !isOlder || !isLog || err != nil {
		return time.Time{}
	}
	return t
}

// begun returns the time of a file's first event; io.EOF if there is none.
func begun(path string) (time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		text, err := in.ReadSlice('\n')
		if err != nil {
			return time.Time{}, err
		}
		var l line
		if json.Unmarshal(text, &l) == nil && !l.EventTime.IsZero() {
			return l.EventTime, nil
		}
	}
}
