// Package aliyun speaks the Alibaba Cloud RPC family of VPC actions,
// Version=2016-04-28: it verifies signatures, decodes and checks parameters,
// calls the control plane, and encodes answers and errors as XML or JSON.
//
// Request and response types, decoding, the Actions interface and the table of
// documented errors are generated from the catalog in package spec (files
// zz_generated_*.go); a handler holds only what its action means.
//
// The package keeps no state of resources and never touches the kernel.
package aliyun
