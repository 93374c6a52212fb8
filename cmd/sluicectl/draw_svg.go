package main

import (
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// Measures of the picture, in pixels.
const (
	margin     = 20
	gap        = 24
	lineHeight = 17
	charWidth  = 7.4 // of 12 px monospace, at most
	hostHeight = 44
	leastWidth = 120
)

// picture draws VPCs beside each other, below the public network: in each its gateways,
// then its VSwitches, then their hosts.
func picture(vpcs []drawnVPC) string {
	p := &pen{}
	x, bottom := float64(margin), 150.0
	for _, v := range vpcs {
		w, h := p.vpc(v, x, 100)
		x += w + gap
		bottom = max(bottom, 100+h)
	}
	width, height := max(x-gap+margin, 360), bottom+margin
	return head(width, height) + p.String() + "</svg>\n"
}

// pen collects shapes.
type pen struct{ strings.Builder }

// head opens the picture, with the public network across it.
func head(width, height float64) string {
	h := &pen{}
	fmt.Fprintf(h, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" font-family=\"monospace\" font-size=\"12\">\n", width, height, width, height)
	h.rect(0, 0, width, height, "#ffffff", "none")
	h.rect(margin, margin, width-2*margin, 34, "#dbeafe", "#1d4ed8")
	h.text(width/2, margin+22, "the public network", "middle", "#1e3a8a", true)
	return h.String()
}

func (p *pen) rect(x, y, w, h float64, fill, stroke string) {
	fmt.Fprintf(p, "<rect x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" rx=\"6\" fill=\"%s\" stroke=\"%s\"/>\n", x, y, w, h, fill, stroke)
}

func (p *pen) line(x1, y1, x2, y2 float64) {
	fmt.Fprintf(p, "<path d=\"M%.0f %.0fL%.0f %.0f\" stroke=\"#475569\" stroke-width=\"1.5\"/>\n", x1, y1, x2, y2)
}

func (p *pen) text(x, y float64, s, anchor, fill string, bold bool) {
	weight := ""
	if bold {
		weight = ` font-weight="bold"`
	}
	fmt.Fprintf(p, "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\" fill=\"%s\"%s>%s</text>\n", x, y, anchor, fill, weight, html.EscapeString(s))
}

// size is that of a box.
func (b drawnBox) size() (w, h float64) {
	longest := utf8.RuneCountInString(b.title)
	for _, l := range b.lines {
		longest = max(longest, utf8.RuneCountInString(l))
	}
	return max(float64(longest)*charWidth+20, leastWidth), float64(len(b.lines)+1)*lineHeight + 14
}

// box draws one at a place, as wide as is said.
func (p *pen) box(b drawnBox, x, y, w, h float64, fill, stroke string) {
	p.rect(x, y, w, h, fill, stroke)
	p.text(x+w/2, y+18, b.title, "middle", "#0f172a", true)
	for i, l := range b.lines {
		p.text(x+w/2, y+18+float64(i+1)*lineHeight, l, "middle", "#334155", false)
	}
}

// vpc draws one with its left upper corner at a place, and returns its size.
func (p *pen) vpc(v drawnVPC, x, y float64) (w, h float64) {
	// How wide its rows are.
	var top, tallest, bottom float64
	for _, g := range v.gateways {
		gw, gh := g.size()
		top, tallest = top+gw+gap, max(tallest, gh)
	}
	widths, hosts := make([]float64, len(v.vswitches)), make([]float64, len(v.vswitches))
	for i, s := range v.vswitches {
		widths[i], _ = drawnBox{title: s.title}.size()
		for j, host := range s.hosts {
			hw, _ := host.size()
			hosts[i] += hw
			if j > 0 {
				hosts[i] += gap
			}
		}
		widths[i] = max(widths[i], hosts[i])
		bottom += widths[i] + gap
	}
	title, _ := drawnBox{title: "VPC " + v.title}.size()
	w = max(top, bottom, title+gap) + gap

	shapes := &pen{}
	inner, at := y+16, x+gap
	if len(v.gateways) > 0 {
		at += (w - gap - top) / 2
	}
	switches := inner + 20
	if len(v.gateways) > 0 {
		switches += tallest + 36
	}
	for _, g := range v.gateways {
		gw, _ := g.size()
		shapes.line(at+gw/2, margin+34, at+gw/2, inner)
		shapes.line(at+gw/2, inner+tallest, at+gw/2, switches-16)
		shapes.box(g, at, inner, gw, tallest, "#dcfce7", "#15803d")
		at += gw + gap
	}
	low := switches
	at = x + gap + (w-gap-bottom)/2
	if len(v.vswitches) > 0 {
		// The VRouter is between.
		shapes.line(x+gap, switches-16, x+w-gap, switches-16)
	}
	for i, s := range v.vswitches {
		shapes.line(at+widths[i]/2, switches-16, at+widths[i]/2, switches)
		shapes.box(drawnBox{title: s.title}, at, switches, widths[i], 30, "#fef9c3", "#a16207")
		low = max(low, switches+30)
		left := at + (widths[i]-hosts[i])/2
		for _, host := range s.hosts {
			hw, _ := host.size()
			shapes.line(left+hw/2, switches+30, left+hw/2, switches+56)
			shapes.box(host, left, switches+56, hw, hostHeight, "#ffffff", "#64748b")
			low = max(low, switches+56+hostHeight)
			left += hw + gap
		}
		at += widths[i] + gap
	}
	h = low + 34 - y
	p.rect(x, y, w, h, "#f8fafc", "#0f172a")
	p.text(x+gap, y+h-12, "VPC "+v.title, "start", "#0f172a", true)
	p.WriteString(shapes.String())
	return w, h
}
