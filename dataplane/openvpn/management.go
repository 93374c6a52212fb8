package openvpn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	answerTimeout = 5 * time.Second // for OpenVPN to answer a command
	greetTimeout  = time.Second     // to greet who has connected
	longestLine   = 1 << 16

	statusCommand = "status 3"
	logCommand    = "log on"
)

// errBusy says that the management interface is somebody else's: OpenVPN speaks with one
// at a time, and lets the next one wait without a word.
var errBusy = errors.New("another client is connected to its management interface")

// management is a connection with an OpenVPN's management interface
// (doc/management-notes.txt in its sources).
type management struct {
	conn    net.Conn
	answers chan message  // what belongs to a command
	closed  chan struct{} // when the connection has ended
	quit    func()        // ends it

	mu sync.Mutex // held by who waits for an answer
}

// dial connects. notify is called for each notification, by one goroutine, and must not
// block. The error is errBusy where somebody else is connected.
func dial(ctx context.Context, path string, notify func(message)) (*management, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	m := &management{conn: conn, answers: make(chan message), closed: make(chan struct{})}
	quit, greeted := make(chan struct{}), make(chan struct{})
	m.quit = sync.OnceFunc(func() { close(quit); conn.Close() })
	go m.read(quit, sync.OnceFunc(func() { close(greeted) }), notify)
	timer := time.NewTimer(greetTimeout)
	defer timer.Stop()
	select {
	case <-greeted:
		return m, nil
	case <-m.closed:
		err = errors.New("it has closed its management interface")
	case <-timer.C:
		err = errBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	m.close()
	return nil, err
}

// read takes in lines until the connection ends.
func (m *management) read(quit <-chan struct{}, greeted func(), notify func(message)) {
	defer close(m.closed)
	defer m.quit()
	r := bufio.NewReaderSize(m.conn, longestLine)
	for {
		line, err := r.ReadSlice('\n') // one that is too long is an error
		if err != nil {
			return
		}
		switch got := parseMessage(strings.TrimRight(string(line), "\r\n")); got.kind {
		case notification:
			greeted()
			notify(got)
		default:
			select {
			case m.answers <- got:
			case <-quit:
				return
			}
		}
	}
}

// close ends the connection.
func (m *management) close() {
	m.quit()
	<-m.closed
}

// do runs a command, and returns the lines of its answer, or the text if that is one line.
// A connection on which it takes too long is ended.
func (m *management) do(ctx context.Context, command string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines, err := m.ask(ctx, command)
	if err != nil && !errors.As(err, new(refused)) {
		m.quit() // an answer that comes later would be taken for another one's
	}
	if err != nil {
		return nil, fmt.Errorf("command %q: %w", command, err)
	}
	return lines, nil
}

// refused is what OpenVPN says where it does not do what it is told.
type refused string

func (r refused) Error() string { return string(r) }

func (m *management) ask(ctx context.Context, command string) ([]string, error) {
	deadline := time.Now().Add(answerTimeout)
	if err := m.conn.SetWriteDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(m.conn, command+"\n"); err != nil {
		return nil, err
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	var lines []string
	for {
		select {
		case got := <-m.answers:
			switch got.kind {
			case success:
				return append(lines, got.text), nil
			case failure:
				return nil, refused(got.text)
			case end:
				return lines, nil
			default:
				lines = append(lines, got.text)
			}
		case <-m.closed:
			return nil, errors.New("it has closed its management interface")
		case <-timer.C:
			return nil, fmt.Errorf("no answer for %s", answerTimeout)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// clients returns those that OpenVPN has.
func (m *management) clients(ctx context.Context) ([]client, error) {
	lines, err := m.do(ctx, statusCommand)
	if err != nil {
		return nil, err
	}
	return parseStatus(lines)
}

// kill ends all sessions of a common name, or that from a transport address, at once,
// without a word to the client, and says whether there was one.
func (m *management) kill(ctx context.Context, who string) (bool, error) {
	_, err := m.do(ctx, "kill "+who)
	if errors.As(err, new(refused)) {
		return false, nil
	}
	return err == nil, err
}

// restart tells a client to come back.
func (m *management) restart(ctx context.Context, id uint64) error {
	_, err := m.do(ctx, fmt.Sprintf("client-kill %d", id))
	if errors.As(err, new(refused)) {
		return nil // it has gone by itself
	}
	return err
}
