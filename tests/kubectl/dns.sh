#!/bin/sh
# Asks the DNS server of a live cluster with a real `dig` (package bind9-dnsutils), while a real kubectl changes the cluster:
# `tests/kubectl/dns.sh [VERSION]`, such as 1.32, as `tests/kubectl/run --fetch` gets it.
#
# Nothing here was recorded. What each question must answer follows from the specification of the records
# (docs/specification.md of github.com/kubernetes/dns); what CoreDNS really answered is in tests/conformance/network/dns.json.
set -eu
cd "$(dirname "$0")/../.."
version=${1:-1.32}
export LC_ALL=C
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
kubectl=$target/kubectl/$version/kubectl
[ -x "$kubectl" ] || tests/kubectl/run --fetch "$version"
if ! command -v dig >/dev/null; then
    root=$([ "$(id -u)" = 0 ] || echo sudo)
    $root apt-get install --yes --no-install-recommends bind9-dnsutils
fi
[ -n "${BUILT:-}" ] || cargo build --quiet --package cluster
cluster=$target/debug/cluster
name=dns-$$ steps=0 failed=0
folder=$(mktemp -d)
export KUBECONFIG="$folder/kubeconfig" KUBECACHEDIR="$folder/cache"
trap '"$cluster" --name "$name" down >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
"$cluster" --name "$name" up --detach --kubeconfig "$KUBECONFIG" >"$folder/up" || { cat "$folder/up"; exit 1; }
port=$(sed -n 's/^ *dns  127\.0\.0\.1:\([0-9]*\)$/\1/p' "$folder/up")
[ -n "$port" ] || { echo "up doesn't say where the DNS server is:"; cat "$folder/up"; exit 1; }

ask() {
    dig @127.0.0.1 -p "$port" +tries=1 +time=5 "$@"
}

# check EXPECTED ARGS…: the records that dig prints, sorted, must be these.
check() {
    expected=$1
    shift
    compare "$expected" "$(ask +noall +answer +additional "$@" | tr -s '\t ' ' ' | sort)" "$*"
}

# status EXPECTED ARGS…: the outcome, the flags, and the SOA record that comes with a "no".
status() {
    expected=$1
    shift
    got=$(ask +noall +comments +authority "$@" | sed -n 's/.*status: \([A-Z]*\).*/\1/p; s/^;; flags: \([a-z ]*\);.*/\1/p
        /SOA/s/\([^ \t]*\)\t.*SOA.*/SOA of \1/p' | tr '\n' ' ')
    compare "$expected" "${got% }" "$*"
}

# compare EXPECTED GOT QUESTION
compare() {
    steps=$((steps + 1))
    [ "$1" = "$2" ] && return
    failed=$((failed + 1))
    printf -- '--- dig %s\n  expected: %s\n  got:      %s\n' "$3" "$1" "$2"
}

# until_answers COUNT NAME TYPE: waits for so many records.
until_answers() {
    for _ in $(seq 100); do
        [ "$(ask +short "$2" "$3" | wc -l)" = "$1" ] && return
        sleep 0.2
    done
    echo "gave up waiting for $1 records: $2 $3"
}

domain=default.svc.cluster.local
check 'dns-version.cluster.local. 28800 IN TXT "1.1.0"' dns-version.cluster.local TXT
check '10-244-1-5.default.pod.cluster.local. 30 IN A 10.244.1.5' 10-244-1-5.default.pod.cluster.local A
check 'ns.dns.cluster.local. 30 IN A 127.0.0.1' ns.dns.cluster.local A
status 'NXDOMAIN qr aa rd SOA of cluster.local.' "web.$domain" A
status 'NXDOMAIN qr aa rd SOA of in-addr.arpa.' -x 10.96.0.99
status 'REFUSED qr rd' www.example.com A
status 'REFUSED qr' cluster.local AXFR
status 'REFUSED qr rd' version.bind TXT CH

# A Service with a cluster IP and a named port.
"$kubectl" create deployment web --image=nginx --replicas=2 >/dev/null
"$kubectl" create -f - >/dev/null <<SERVICES
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-pods}
spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: pay}
spec: {type: ExternalName, externalName: api.example.com}
SERVICES
"$kubectl" rollout status deployment web --timeout=60s >/dev/null
until_answers 2 "web-pods.$domain" A
until_answers 1 "pay.$domain" CNAME
address=$("$kubectl" get service web -o 'jsonpath={.spec.clusterIP}')
check "web.$domain. 30 IN A $address" "web.$domain" A
check "web.$domain. 30 IN A $address" "web.$domain" A +tcp
check "WEB.Default.svc.cluster.local. 30 IN A $address" WEB.Default.svc.cluster.local A
status 'NOERROR qr aa rd SOA of cluster.local.' "web.$domain" AAAA
status 'NOERROR qr aa rd SOA of cluster.local.' "web.$domain" TYPE65280
status 'BADVERS qr rd' "web.$domain" A +edns=1 +noednsnegotiation
status 'NOTIMP qr rd' "web.$domain" A +opcode=notify
check "_http._tcp.web.$domain. 30 IN SRV 0 100 80 web.$domain.
web.$domain. 30 IN A $address" "_http._tcp.web.$domain" SRV
status 'NXDOMAIN qr aa rd SOA of cluster.local.' "_https._tcp.web.$domain" SRV
check "$(echo "$address" | awk -F. '{print $4"."$3"."$2"."$1}').in-addr.arpa. 30 IN PTR web.$domain." -x "$address"
# Two questions over one connection.
check "dns-version.cluster.local. 28800 IN TXT \"1.1.0\"
web.$domain. 30 IN A $address" +tcp +keepopen "web.$domain" A dns-version.cluster.local TXT

# Without a cluster IP: the pods.
pods=$("$kubectl" get pods -l app=web -o 'jsonpath={range .items[*]}{.status.podIP}{"\n"}{end}')
check "$(for pod in $pods; do echo "web-pods.$domain. 30 IN A $pod"; done | sort)" "web-pods.$domain" A
check "$(for pod in $pods; do
    host=$(echo "$pod" | tr . -).web-pods.$domain.
    echo "_http._tcp.web-pods.$domain. 30 IN SRV 0 50 8080 $host"
    echo "$host 30 IN A $pod"
done | sort)" "_http._tcp.web-pods.$domain" SRV
for pod in $pods; do
    host=$(echo "$pod" | tr . -).web-pods.$domain.
    check "$host 30 IN A $pod" "$host" A
    # It has a name below each of its services.
    reverse=$(echo "$pod" | awk -F. '{print $4"."$3"."$2"."$1}').in-addr.arpa.
    check "$reverse 30 IN PTR $host
$reverse 30 IN PTR $(echo "$pod" | tr . -).web.$domain." -x "$pod"
done

# A name outside: the alias alone, since nothing beyond the cluster is looked up.
check "pay.$domain. 30 IN CNAME api.example.com." "pay.$domain" A
check "pay.$domain. 30 IN CNAME api.example.com." "pay.$domain" CNAME

# The search path of a pod, as the kubelet writes it; +showsearch prints each try.
search="+search +showsearch +domain=$domain"
# shellcheck disable=SC2086
check "web.$domain. 30 IN A $address" $search web A
tries=$(for suffix in "$domain" svc.cluster.local cluster.local; do
    ask +noall +comments "web.default.$suffix" A | sed -n 's/.*status: \([A-Z]*\).*/\1/p'
done | tr '\n' ' ')
compare 'NXDOMAIN NOERROR NXDOMAIN ' "$tries" 'web.default with each suffix of a pod in default'

# 40 addresses fit into what dig offers with EDNS, and not into 512 bytes. Without +ignore dig asks again over TCP by itself.
"$kubectl" create deployment many --image=nginx --replicas=40 >/dev/null
"$kubectl" expose deployment many --port=80 --cluster-ip=None >/dev/null
until_answers 40 "many.$domain" A
status 'NOERROR qr aa tc rd' +noedns +ignore "many.$domain" A
compare 40 "$(ask +noedns +short "many.$domain" A | grep -c '^[0-9.]*$')" "+noedns many.$domain, again over TCP"
compare 40 "$(ask +notcp +ignore +short "many.$domain" A | grep -c '^[0-9.]*$')" "many.$domain with EDNS"

# What is gone has no name.
"$kubectl" scale deployment many --replicas=0 >/dev/null
until_answers 0 "many.$domain" A
status 'NXDOMAIN qr aa rd SOA of cluster.local.' "many.$domain" A
"$kubectl" delete service web >/dev/null
until_answers 0 "web.$domain" A
status 'NXDOMAIN qr aa rd SOA of cluster.local.' "web.$domain" A

"$cluster" --name "$name" down >/dev/null
compare 9 "$(ask dns-version.cluster.local TXT >/dev/null 2>&1 || echo $?)" 'after the end of the cluster: no answer'

echo "dig and kubectl $version: $((steps - failed)) of $steps answers are as they must be"
[ $failed = 0 ]
