// Package tencent3 speaks Tencent Cloud's API 3.0 (Version 2017-03-12): it implements
// edge.Family for it.
//
// A request is a query, a form, or a JSON object. Each is read into one tree of values
// (values.go), whose members are checked against what the catalog says of the action and put
// into the action's request (decode.go, and what specgen writes). Two signatures are taken:
// version 1, over the parameters (HmacSHA1, HmacSHA256), and TC3-HMAC-SHA256, over headers
// and body (signature_v1.go, signature_tc3.go). A refusal is an answer with HTTP status 200, as all are.
//
// It knows no rule of the control plane, whose services its handlers call, and nothing of
// other families.
package tencent3
