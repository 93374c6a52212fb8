package aliyun

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
)

// Format is how an answer is written.
type Format int

// The documents disagree on the default; XML is what two of three places say,
// and what clients of that age expect.
const (
	FormatXML Format = iota
	FormatJSON
)

// ParseFormat reads the parameter Format in any case; empty means XML.
func ParseFormat(v string) (Format, *Error) {
	switch {
	case v == "", strings.EqualFold(v, "XML"):
		return FormatXML, nil
	case strings.EqualFold(v, "JSON"):
		return FormatJSON, nil
	}
	return FormatXML, invalidParameter("Format")
}

// ContentType returns the value of the HTTP header.
func (f Format) ContentType() string {
	if f == FormatJSON {
		return "application/json;charset=utf-8"
	}
	return "text/xml;charset=utf-8"
}

// declaration stands at the beginning of every XML answer, quoted as the
// documents quote it.
const declaration = `<?xml version='1.0' encoding='UTF-8'?>`

// Encode appends an answer to b, without line breaks or indentation. XML has
// the root element <ActionResponse>; JSON has none.
func Encode(b *bytes.Buffer, f Format, r Response) error {
	r.fill()
	return encode(b, f, r)
}

// errorBody is the shape of a refusal, common to all actions.
type errorBody struct {
	XMLName   xml.Name `json:"-" xml:"Error"`
	RequestID string   `json:"RequestId" xml:"RequestId"`
	HostID    string   `json:"HostId" xml:"HostId"`
	Code      string   `json:"Code" xml:"Code"`
	Message   string   `json:"Message" xml:"Message"`
}

// EncodeError appends a refusal to b. hostID is the site that the client
// addressed.
func EncodeError(b *bytes.Buffer, f Format, e *Error, requestID, hostID string) error {
	return encode(b, f, &errorBody{RequestID: requestID, HostID: hostID, Code: e.Code, Message: e.Message})
}

func encode(b *bytes.Buffer, f Format, v any) error {
	if f == FormatJSON {
		e := json.NewEncoder(b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("encode %T as JSON: %w", v, err)
		}
		b.Truncate(b.Len() - 1) // the line break that Encode adds
		return nil
	}
	b.WriteString(declaration)
	if err := xml.NewEncoder(b).Encode(v); err != nil {
		return fmt.Errorf("encode %T as XML: %w", v, err)
	}
	return nil
}
