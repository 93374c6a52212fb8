package main

import (
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestPicture: of any VPCs, everything is in the picture, nothing beside it, and no box
// lies across the border of another one.
func TestPicture(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	n := 0
	text := func() string {
		n++
		return fmt.Sprintf("<%d> & \"%s\"", n, strings.Repeat("x", random.IntN(40)))
	}
	box := func() drawnBox {
		b := drawnBox{title: text()}
		for range random.IntN(4) {
			b.lines = append(b.lines, text())
		}
		return b
	}
	for range 200 {
		n = 0
		var vpcs []drawnVPC
		for range random.IntN(4) {
			v := drawnVPC{title: text()}
			for range random.IntN(3) {
				v.gateways = append(v.gateways, box())
			}
			for range random.IntN(4) {
				s := drawnVSwitch{title: text()}
				for range random.IntN(5) {
					s.hosts = append(s.hosts, drawnBox{title: text(), lines: []string{text()}})
				}
				v.vswitches = append(v.vswitches, s)
			}
			vpcs = append(vpcs, v)
		}
		var svg struct {
			Width  float64     `xml:"width,attr"`
			Height float64     `xml:"height,attr"`
			Rect   []rectangle `xml:"rect"`
			Text   []string    `xml:"text"`
		}
		drawn := picture(vpcs)
		if err := xml.Unmarshal([]byte(drawn), &svg); err != nil {
			t.Fatalf("%v\n%s", err, drawn)
		}
		for i := 1; i <= n; i++ {
			if !slices.ContainsFunc(svg.Text, func(s string) bool { return strings.Contains(s, fmt.Sprintf("<%d> & \"", i)) }) {
				t.Errorf("text %d of %d is not in the picture", i, n)
			}
		}
		for i, a := range svg.Rect {
			if a.X < 0 || a.Y < 0 || a.X+a.Width > svg.Width || a.Y+a.Height > svg.Height {
				t.Errorf("%+v is beside the picture of %v × %v", a, svg.Width, svg.Height)
			}
			for _, b := range svg.Rect[:i] {
				if !a.apart(b) && !a.within(b) && !b.within(a) {
					t.Errorf("%+v lies across the border of %+v", a, b)
				}
			}
		}
		if t.Failed() {
			t.Fatal(drawn)
		}
	}
}

type rectangle struct {
	X      float64 `xml:"x,attr"`
	Y      float64 `xml:"y,attr"`
	Width  float64 `xml:"width,attr"`
	Height float64 `xml:"height,attr"`
}

func (a rectangle) apart(b rectangle) bool {
	return a.X+a.Width <= b.X || b.X+b.Width <= a.X || a.Y+a.Height <= b.Y || b.Y+b.Height <= a.Y
}

func (a rectangle) within(b rectangle) bool {
	return a.X >= b.X && a.Y >= b.Y && a.X+a.Width <= b.X+b.Width && a.Y+a.Height <= b.Y+b.Height
}
