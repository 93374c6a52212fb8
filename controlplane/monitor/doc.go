// Package monitor keeps what each private address behind a NAT gateway has sent
// and received in each minute.
//
// A Recorder, a task of the daemon, reads the dataplane's counters at the end
// of every minute, and hands them to the file of minutes (Minutes), which keeps
// how much they have grown since the minute before. A Service answers for single
// minutes, sorted, filtered and page by page.
//
// What is kept of a minute is exact, or nothing: a minute that was not watched
// from its beginning to its end is absent. The package knows neither where the
// counters come from (package dataplane only gives their form) nor the wire's
// names of them.
package monitor
