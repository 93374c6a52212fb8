package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"sluice/controlplane/policy"
)

// document is one that allows what a statement's further members say.
func document(members string) string {
	return `{"Version":"1","Statement":[{"Effect":"Allow",` + members + `}]}`
}

func condition(c string) string { return document(`"Action":"*","Resource":"*","Condition":` + c) }

// TestRefused is what is refused, with the line that says so: where, and what would be right.
func TestRefused(t *testing.T) {
	long := strings.Repeat(" ", policy.MaxDocument)
	for _, c := range []struct{ text, want string }{
		{``, `the document: it is no JSON: it ends too early`},
		{`[]`, `the document: it is []; write an object in braces`},
		{`null`, `the document: it is null; write an object in braces`},
		{`{"Version":"1","Statement":[`, `the document: it is no JSON: it ends too early`},
		{`{"Version":"1",}`, `the document: it is no JSON: invalid character '}'`},
		{"\ufeff" + document(`"Action":"*","Resource":"*"`), `the document: it is no JSON: invalid character`},
		{document(`"Action":"*","Resource":"*"`) + `{}`, `the document: something follows the closing brace`},
		{document(`"Action":"*","Resource":"*"`) + "\xff", `not UTF-8`},
		{document(`"Action":"*","Resource":"*"`) + long, `bytes; up to 6144 are allowed`},
		{`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`, `Version: it is missing`},
		{`{"Version":1,"Statement":[]}`, `the Version is 1; write "1"`},
		{`{"Version":"2012-10-17","Statement":[]}`, `the Version is "2012-10-17"; write "1"`},
		{`{"Version":"1"}`, `Statement: it is missing`},
		{`{"Version":"1","Statement":[]}`, `Statement: the list is empty`},
		{`{"Version":"1","Statement":"*"}`, `Statement[0]: it is "*"; write an object`},
		{`{"Version":"1","Statement":[{}]}`, `Statement[0].Effect: it is missing; write "Allow" or "Deny"`},
		{`{"Version":"1","Id":"x","Statement":[]}`, `Id: a document has Version and Statement alone`},
		{`{"version":"1","Statement":[]}`, `version: a document has`},
		{`{"Version":"1","Version":"1","Statement":[]}`, `the document: Version: it stands twice`},
		{`{"Version":"1","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}`, `Statement[0].Effect: it is "allow"; write "Allow"`},
		{`{"Version":"1","Statement":[{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}]}`, `Statement[0]: Effect: it stands twice`},
		{document(`"Resource":"*"`), `Statement[0].Action: it is missing`},
		{document(`"Action":"*"`), `Statement[0].Resource: it is missing`},
		{document(`"Action":"*","NotAction":"vpc:*","Resource":"*"`), `Statement[0].Action: there is NotAction, too`},
		{document(`"Action":"*","NotResource":"*","Resource":"*"`), `Statement[0].Resource: there is NotResource, too`},
		{document(`"Action":[],"Resource":"*"`), `Statement[0].Action: the list is empty`},
		{document(`"NotAction":[],"Resource":"*"`), `Statement[0].NotAction: the list is empty`},
		{document(`"Action":"*","NotResource":[]`), `Statement[0].NotResource: the list is empty`},
		{document(`"Action":null,"Resource":"*"`), `Statement[0].Action[0]: it is null`},
		{document(`"Action":["vpc:*",["vpc:*"]],"Resource":"*"`), `Statement[0].Action[1]: it is ["vpc:*"]; write a text`},
		{document(`"Action":[7],"Resource":"*"`), `Statement[0].Action[0]: it is 7; write a text`},
		{document(`"Action":"","Resource":"*"`), `Statement[0].Action[0]: it is empty`},
		{document(`"Action":"CreateVpc","Resource":"*"`), `Statement[0].Action[0]: "CreateVpc" is no action`},
		{document(`"Action":"vpc:","Resource":"*"`), `is no action`},
		{document(`"Action":"vpc:Create Vpc","Resource":"*"`), `has the character U+0020`},
		{document(`"Action":"vpc:CreateVpc\u200b","Resource":"*"`), `has the character U+200B`},
		{document(`"Action":"\uff56pc:*","Resource":"*"`), `has the character U+FF56`},
		{document(`"Action":"vpc:Create?pc","Resource":"*"`), `? stands for nothing here`},
		{document(`"Action":"*","Resource":"vpc/vpc-1"`), `Statement[0].Resource[0]: "vpc/vpc-1" is no resource`},
		{document(`"Action":"*","Resource":"arn:aws:ec2:*:*:vpc/*"`), `is no resource`},
		{document(`"Action":"*","Resource":":vpc:*:*:*"`), `is no resource`},
		{document(`"Action":"*","Resource":"acs:vpc"`), `ends too early`},
		{document(`"Action":"*","Resource":"acs:vpc:cn-a:vpc/vpc-1"`), `has "cn-a" in the place of the account's id`},
		{document(`"Action":"*","Resource":"acs:vpc:cn-a:me:vpc/vpc-1"`), `has "me" in the place of the account's id`},
		{document(`"Action":"*","Resource":"acs:vpc:vpc/vpc-1:1:x"`), `has a / before the resource's id`},
		{document(`"Action":"*","Resource":"*","Principal":"*"`), `Statement[0].Principal: a statement has Effect,`},
		{document(`"Action":"*","Resource":"*","Sid":"1"`), `Statement[0].Sid: a statement has`},
		{condition(`{}`), `Statement[0].Condition: it is empty`},
		{condition(`[]`), `Statement[0].Condition: it is []; write an object`},
		{condition(`{"StringEquals":{}}`), `Condition: StringEquals: it has no condition key`},
		{condition(`{"StringEqual":{"vpc:Vpc":"x"}}`), `StringEqual: there is no such operator; write StringEquals`},
		{condition(`{"stringlike":{"vpc:Vpc":"x"}}`), `stringlike: there is no such operator; write StringLike`},
		{condition(`{"ForAnyValue:StringEquals":{"vpc:Vpc":"x"}}`), `there is no such operator; there are Bool, `},
		{condition(`{"StringEqualsIfExists":{"vpc:Vpc":"x"}}`), `there is no such operator`},
		{condition(`{"Null":{"vpc:Vpc":"true"}}`), `there is no such operator`},
		{condition(`{"StringEquals":{"vpc:Vpcs":"x"}}`), `StringEquals.vpc:Vpcs: no request has a value of this key here; write vpc:Vpc`},
		{condition(`{"StringEquals":{"oss:Prefix":"x"}}`), `StringEquals.oss:Prefix: no request has a value of this key here; there are acs:`},
		{condition(`{"StringEquals":{"vpc:Vpc":[]}}`), `StringEquals.vpc:Vpc: the list is empty`},
		{condition(`{"StringEquals":{"vpc:Vpc":7}}`), `it is 7; write a text`},
		{condition(`{"StringEquals":{"vpc:Vpc":{"a":"b"}}}`), `write a text`},
		{condition(`{"StringEquals":{"vpc:Vpc":"a","VPC:vpc":"b"}}`), `VPC:vpc: it stands twice; case makes no difference`},
		{condition(`{"StringEquals":{"vpc:Vpc":"a"},"StringEquals":{"vpc:VRouter":"b"}}`), `Condition: StringEquals: it stands twice`},
		{condition(`{"IpAddress":{"acs:CurrentTime":"10.0.0.0/8"}}`), `compares with an IP address, and the key's value is a time`},
		{condition(`{"DateLessThan":{"acs:SourceIp":"2026-11-29T00:00:00Z"}}`), `compares with a time, and the key's value is an IP address`},
		{condition(`{"NumericEquals":{"vpc:Vpc":"1"}}`), `compares with a number, and the key's value is a text`},
		{condition(`{"IpAddress":{"acs:SourceIp":["10.0.0.0/8","10.0.0.0/33"]}}`), `acs:SourceIp: value 2: "10.0.0.0/33" is no IP address and no CIDR block`},
		{condition(`{"IpAddress":{"acs:SourceIp":"10.0.0.1-10.0.0.9"}}`), `is no IP address`},
		{condition(`{"IpAddress":{"acs:SourceIp":"010.0.0.1"}}`), `is no IP address`},
		{condition(`{"IpAddress":{"acs:SourceIp":"10.0.*"}}`), `is no IP address`},
		{condition(`{"IpAddress":{"acs:SourceIp":" 10.0.0.1"}}`), `is no IP address`},
		{condition(`{"IpAddress":{"acs:SourceIp":"fe80::1%eth0"}}`), `is no IP address`},
		{condition(`{"IpAddress":{"acs:SourceIp":"::ffff:10.0.0.0/104"}}`), `written as IPv6; write it as IPv4`},
		{condition(`{"DateLessThan":{"acs:CurrentTime":"2026-11-29"}}`), `is no time; write it as 2026-11-29T17:00:00+08:00`},
		{condition(`{"DateLessThan":{"acs:CurrentTime":"2026-11-29T17:00:00"}}`), `with its time zone`},
		{condition(`{"DateLessThan":{"acs:CurrentTime":1764400000}}`), `it is 1764400000; write a text`},
		{condition(`{"Bool":{"acs:SecureTransport":"yes"}}`), `"yes" is no truth value; write "true" or "false"`},
		{condition(`{"Bool":{"acs:SecureTransport":1}}`), `1 is no truth value`},
		{`{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Resource":"*","Condition":{"NumericLessThan":{"oss:MaxKeys":"1e400"}}}]}`,
			`oss:MaxKeys: 1e400 is no decimal number`},
	} {
		_, err := policy.Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.120s: %v, want %q", c.text, err, c.want)
		} else if strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%.120s: not one line: %q", c.text, err)
		}
	}
}

// TestAccepted is what documents of others may have that is not as usual.
func TestAccepted(t *testing.T) {
	for _, text := range []string{
		`{"Statement":{"Effect":"Deny","NotAction":["vpc:Describe*"],"NotResource":["acs:vpc:*:*:vpc/*"]},"Version":"1"}`,
		condition(`{"Bool":{"acs:SecureTransport":true},"IpAddress":{"acs:SourceIp":["10.0.0.5/8","2001:db8::/32","::ffff:192.0.2.1"]}}`),
		condition(`{"DateGreaterThan":{"acs:CurrentTime":"2026-11-29T17:00:00.5+08:00"},"DateLessThan":{"acs:CurrentTime":"2026-11-29T17:00Z"}}`),
		condition(`{"StringLike":{"acs:SourceIp":"10.*"}}`),
		document(`"Action":"*:*","Resource":"acs:*"`),
		document(`"Action":"oss:GetObject","Resource":"acs:oss:*:*:b/*","Condition":{"StringLike":{"oss:Prefix":"a/*"},"NumericLessThan":{"oss:MaxKeys":[10,"20"]}}`),
		document(`"Action":"*","Resource":["acs:vpc:*:*:","acs:vpc:1:vpc/*","acs:vpc:cn-a:*","acs:vpc:cn-a:1:**","acs:vpc::1:vpc/x:y"]`),
	} {
		if _, err := policy.Parse(text); err != nil {
			t.Errorf("%v in %s", err, text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(document(`"Action":"*","Resource":"*"`))
	f.Add(condition(`{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"},"Bool":{"acs:SecureTransport":true}}`))
	f.Add(`{"Version":"1","Statement":[{"Effect":"Deny","NotAction":["vpc:*"],"NotResource":["acs:vpc:*:1:vpc/*"]}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := policy.Parse(text)
		if err != nil {
			if len(err.Error()) > 2*policy.MaxDocument+500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		r := request{service: "vpc", action: "DeleteVpc", of: "vpc", region: "cn-a", account: "1", id: "vpc/vpc-1"}
		q := r.compiled()
		if got := policy.Decide([]*policy.Document{d}, q); got.Effect == policy.Allow && !strings.Contains(text, "Allow") {
			t.Errorf("%v by a document that does not say so", got)
		}
	})
}

// hundred is a document as long as one may be, and a request that its last statement is about.
func hundred(tb testing.TB) ([]*policy.Document, *policy.Request) {
	tb.Helper()
	var list []*policy.Document
	for i := range 100 {
		d, err := policy.Parse(document(fmt.Sprintf(`"Action":["vpc:*Vpc*","vpc:Describe*"],"Resource":"acs:vpc:cn-*:*:vpc/vpc-*x%d","Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"}}`, i)))
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, d)
	}
	r := request{service: "vpc", action: "DescribeVpcs", of: "vpc", region: "cn-a", account: "1", id: "vpc/vpc-257gq642x99", values: map[string]string{"acs:sourceip": "10.1.2.3"}}
	return list, r.compiled()
}

func BenchmarkDecide(b *testing.B) {
	documents, r := hundred(b)
	b.ReportAllocs()
	for b.Loop() {
		if policy.Decide(documents, r).Effect != policy.Allow {
			b.Fatal("denied")
		}
	}
}
