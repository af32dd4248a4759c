//! What `--help` shows at its end. Each command can be copied as it is: a test parses them.

/// Of `token`.
pub const TOKEN: &str = "\
Examples:
  A secret, and a cluster that asks for tokens:
      openssl rand -hex 32 > secret
      sfu-operator local --auth-secret-file secret

  A token to publish `demo` and to watch everything, for a day:
      sfu-operator token --secret-file secret --publish demo --play '*' --expires 1day";

/// Of `local`.
pub const LOCAL: &str = "\
Examples:
  Three nodes, with everything that they need:
      sfu-operator local
  Then open http://127.0.0.1:2020, press Publish, and watch on another node.

  A cluster from a manifest; edit `replicas` in the file and save, and the cluster follows:
      sfu-operator local -f examples/three-nodes.yaml

  One that other machines reach, by HTTPS, with tokens:
      sfu-operator local --listen 0.0.0.0 --web-port 443 --public-address live.example.net \\
          --tls-cert fullchain.pem --tls-key privkey.pem --state-dir /var/lib/sfumato

  One behind a proxy on this machine, which has the certificate:
      sfu-operator local --public-address live.example.net --trusted-proxy 127.0.0.1,::1 --state-dir /var/lib/sfumato

  A second cluster beside the first:
      sfu-operator local --web-port 2120 --client-port-base 3101 --admin-port-base 4101 \\
          --health-port-base 5101 --redis-port 6477 --media-port-base 21000 --pipe-port-base 25000

  See the mesh heal:
      kill -9 $(pgrep -f 'sfu-node --name sfu-2 .* --listen 127.0.0.1:3002 ')

Exit codes: 0 after Ctrl-C, 2 for a wrong option or manifest, 1 for anything else.";
