//go:build tools

// Package policies names the program that enforces NetworkPolicies on the test cluster: scripts/tools.sh builds it from its module.
package policies

import _ "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"
