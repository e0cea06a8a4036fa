#!/usr/bin/env bash
# Installs what the demo (`run`) or the tests (`test`) need from Debian's packages, and only what is missing.
# Nothing that runs already is touched: packages are told not to start services.
set -euo pipefail

# command or file to look for, then the package that brings it
run_needs=(
  "/usr/bin/containerd containerd"
  "/usr/sbin/runc runc"
  "/usr/lib/cni/bridge containernetworking-plugins"
  "/usr/sbin/iptables iptables"
  "/bin/busybox busybox-static"
  "/usr/sbin/ip iproute2"
)
test_needs=(
  "${run_needs[@]}"
  "/usr/sbin/mosquitto mosquitto"
  "/usr/bin/mosquitto_pub mosquitto-clients"
  "/usr/bin/influxd influxdb"
  "/usr/bin/redis-server redis-server"
  "/usr/sbin/nats-server nats-server"
  "/usr/lib/postgresql postgresql"
  "/usr/bin/kcat kcat"
  "/usr/bin/nanocat nanomsg-utils"
  "/usr/sbin/mariadbd mariadb-server-core"
  "/usr/bin/my_print_defaults mariadb-client-core"
  "/usr/bin/openssl openssl"
  "/usr/lib/python3/dist-packages/websockets python3-websockets"
)

case "${1:-run}" in
  run) needs=("${run_needs[@]}") ;;
  test) needs=("${test_needs[@]}") ;;
  *) echo "usage: $0 run|test" >&2; exit 64 ;;
esac

# The old kubectl is kept apart, so that it never replaces a newer one on the PATH.
kubectl_home="${XDG_CACHE_HOME:-$HOME/.cache}/edgeward/kubectl-debian"

missing=()
for need in "${needs[@]}"; do
  [ -e "${need%% *}" ] || missing+=("${need##* }")
done
want_kubectl=no
[ -x "$kubectl_home/usr/bin/kubectl" ] || want_kubectl=yes
[ ${#missing[@]} -eq 0 ] && [ $want_kubectl = no ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "not root: cannot install ${missing[*]:-kubectl}. What needs them is left out; to have it all, run once:" >&2
  echo "  sudo apt-get install --no-install-recommends ${missing[*]:-}" >&2
  exit 0
fi
command -v apt-get >/dev/null || { echo "no apt-get here; install yourself: ${missing[*]:-kubectl}" >&2; exit 0; }

apt-get update -qq
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing ${missing[*]}"
  # A policy that starts no service: the demo and the tests run their own.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' > $policy && chmod +x $policy
    trap 'rm -f '$policy EXIT
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ $want_kubectl = yes ]; then
  work=$(mktemp -d)
  if (cd "$work" && apt-get download -qq kubernetes-client >/dev/null 2>&1); then
    mkdir -p "$kubectl_home" && dpkg-deb -x "$work"/kubernetes-client_*.deb "$kubectl_home"
  else
    echo "kubectl 1.20 could not be had; what needs it is left out" >&2
  fi
  rm -rf "$work"
fi
