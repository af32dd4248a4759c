// Package kind checks the repository's kind-config.yaml against kind's own types: kind cannot run without Docker, and a file that
// nothing reads would rot.
package kind

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
)

const path = "../../../kind-config.yaml"

func load(t *testing.T, content []byte) (v1alpha4.Cluster, error) {
	t.Helper()
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	var cluster v1alpha4.Cluster
	err := decoder.Decode(&cluster)
	if err == nil {
		v1alpha4.SetDefaultsCluster(&cluster)
	}
	return cluster, err
}

func read(t *testing.T) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestKindKnowsEveryFieldAndItsKind(t *testing.T) {
	cluster, err := load(t, read(t))
	if err != nil {
		t.Fatal(err)
	}
	if cluster.Kind != "Cluster" || cluster.APIVersion != "kind.x-k8s.io/v1alpha4" {
		t.Errorf("kind reads %q of %q", cluster.Kind, cluster.APIVersion)
	}
	if cluster.Networking.IPFamily != v1alpha4.DualStackFamily {
		t.Errorf("the IP family is %q, not dual", cluster.Networking.IPFamily)
	}
}

func TestAFieldThatKindDoesNotKnowIsFound(t *testing.T) {
	broken := strings.Replace(string(read(t)), "extraPortMappings", "extraPortMapping", 1)
	if _, err := load(t, []byte(broken)); err == nil || !strings.Contains(err.Error(), "extraPortMapping") {
		t.Errorf("a misspelt field gave %v", err)
	}
}

func TestThreeWorkersPublishPortsOfTheirOwn(t *testing.T) {
	cluster, err := load(t, read(t))
	if err != nil {
		t.Fatal(err)
	}
	type port struct {
		number   int32
		protocol v1alpha4.PortMappingProtocol
	}
	taken := map[port]bool{}
	workers := 0
	for _, node := range cluster.Nodes {
		if node.Role != v1alpha4.WorkerRole {
			continue
		}
		workers++
		for _, mapping := range node.ExtraPortMappings {
			if mapping.ContainerPort != mapping.HostPort {
				t.Errorf("port %d is %d outside: a media node announces the port that it listens on", mapping.ContainerPort, mapping.HostPort)
			}
			if mapping.HostPort < 30000 || mapping.HostPort > 32767 {
				t.Errorf("%d is no NodePort", mapping.HostPort)
			}
			it := port{mapping.HostPort, mapping.Protocol}
			if taken[it] {
				t.Errorf("%v is published twice", it)
			}
			taken[it] = true
		}
	}
	if workers != 3 {
		t.Errorf("%d workers, not 3", workers)
	}
	for it := range taken {
		other := port{it.number, v1alpha4.PortMappingProtocolUDP}
		if it.protocol == other.protocol {
			other.protocol = v1alpha4.PortMappingProtocolTCP
		}
		if !taken[other] {
			t.Errorf("port %d has %s only", it.number, it.protocol)
		}
	}
}

// What a pod is reached at by default, as the definition has it (media.nodePortBase): 64 ports a pod.
func TestEachWorkerPublishesThePortsOfOnePod(t *testing.T) {
	cluster, err := load(t, read(t))
	if err != nil {
		t.Fatal(err)
	}
	base := defaultNodePortBase(t)
	pod := int32(0)
	for _, node := range cluster.Nodes {
		if node.Role != v1alpha4.WorkerRole {
			continue
		}
		first := base + 64*pod
		pod++
		if len(node.ExtraPortMappings) == 0 || node.ExtraPortMappings[0].HostPort != first {
			t.Errorf("the ports of worker %d do not begin at %d, where those of pod %d do", pod, first, pod-1)
		}
		for _, mapping := range node.ExtraPortMappings {
			if mapping.HostPort < first || mapping.HostPort >= first+64 {
				t.Errorf("%d is no port of pod %d, which has %d to %d", mapping.HostPort, pod-1, first, first+63)
			}
		}
	}
}

func defaultNodePortBase(t *testing.T) int32 {
	t.Helper()
	content, err := os.ReadFile("../../../crds/sfuclusters.sfumato.dev.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type schema struct {
		Default    any               `yaml:"default"`
		Properties map[string]schema `yaml:"properties"`
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema schema `yaml:"openAPIV3Schema"`
				} `yaml:"schema"`
			} `yaml:"versions"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal(content, &definition); err != nil {
		t.Fatal(err)
	}
	field := definition.Spec.Versions[0].Schema.OpenAPIV3Schema
	for _, name := range []string{"spec", "media", "nodePortBase"} {
		field = field.Properties[name]
	}
	base, ok := field.Default.(int)
	if !ok {
		t.Fatalf("the definition's default of nodePortBase is %v", field.Default)
	}
	return int32(base)
}
