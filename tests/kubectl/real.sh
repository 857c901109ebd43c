#!/bin/sh
# Sends real packets through the rules of a live cluster: `tests/kubectl/real.sh [VERSION]`, such as 1.32, as
# `tests/kubectl/run --fetch` gets it. A real `curl` runs in the network namespaces of pods and nodes, and each answer must come from where
# Kubernetes would have sent it.
#
# It needs root, iproute2, iptables and curl. Elsewhere it says why it is skipped; with `NETWORK_KERNEL=required` that is a failure.
set -eu
cd "$(dirname "$0")/../.."
version=${1:-1.32}
export LC_ALL=C
target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
kubectl=$target/kubectl/$version/kubectl
[ -x "$kubectl" ] || tests/kubectl/run --fetch "$version"
[ -n "${BUILT:-}" ] || cargo build --quiet --package grader --package cluster
cluster=$target/debug/cluster
name=real-$$ steps=0 failed=0
folder=$(mktemp -d)
export KUBECONFIG="$folder/kubeconfig" KUBECACHEDIR="$folder/cache"
# Who builds modules.
export CARGO_GRADE="${CARGO_GRADE:-$target/debug/grader}"
trap '"$cluster" --name "$name" down >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT

skip() {
    echo "skipped: no real packets here: $1"
    [ "${NETWORK_KERNEL:-}" != required ]
    exit
}
command -v curl >/dev/null || skip 'there is no curl'

up() {
    "$cluster" --name "$name" up --detach --real-network --kubeconfig "$KUBECONFIG" "$@" >"$folder/up" 2>&1
}
up || case $(cat "$folder/up") in
*'a real network needs'* | *"this machine can't make"*) skip "$(cat "$folder/up")" ;;
*) cat "$folder/up" && exit 1 ;;
esac

# in_ PLACE COMMAND…: runs it there.
in_() {
    place=$1
    shift
    "$cluster" --name "$name" enter "$place" -- "$@"
}

# compare EXPECTED GOT WHAT
compare() {
    steps=$((steps + 1))
    # A pattern of the shell: `*` stands for what differs from run to run.
    case $2 in
    $1) ;;
    *)
        failed=$((failed + 1))
        printf -- '--- %s\n  expected: %s\n  got:      %s\n' "$3" "$1" "$2"
        ;;
    esac
}

# until_is EXPECTED COMMAND…: waits for it to print this.
until_is() {
    expected=$1
    shift
    for _ in $(seq 100); do
        got=$("$@" 2>/dev/null || true)
        [ "$got" = "$expected" ] && break
        sleep 0.2
    done
    compare "$expected" "$got" "in the end: $*"
}

# who FROM URL TIMES: how many different pods answer, and that nobody fails to.
who() {
    for _ in $(seq "$3"); do
        in_ "$1" curl -sS -m 5 "$2" || true
    done >"$folder/answers" 2>&1
    sort "$folder/answers" | uniq -c | awk '{ $1 = ""; print }' >"$folder/different"
    wc -l <"$folder/different" | tr -d ' '
}

curl_of() {
    from=$1
    shift
    in_ "$from" curl -sS -m 5 "$@" 2>&1
}

# agree FROM TO…: the simulation says of each connection what the kernel makes of it.
agree() {
    from=$1
    shift
    for to in "$@"; do
        said=$("$cluster" --name "$name" packet "$from" "$to" 2>&1 | tail -n 1)
        case $said in
        *' answers, after '*) said=answers ;;
        *) said="no answer" ;;
        esac
        done="no answer"
        in_ "$from" curl -sS -o /dev/null -m 3 "http://$to" 2>/dev/null && done=answers
        compare "$said" "$done" "from $from to $to, by the simulation and by the kernel"
    done
}

rollout() {
    "$kubectl" rollout status "$1" --timeout=60s >/dev/null
}

# The exit code of a command is that of `enter`, and errors are told. Nodes join a moment after the cluster is up.
for _ in $(seq 100); do
    in_ node-1 true 2>/dev/null && break
    sleep 0.2
done
code=0
in_ node-1 sh -c 'exit 7' || code=$?
compare 7 "$code" 'the exit code of a command'
compare 'error: pod/default/nobody is no node, and no pod with a network' "$(in_ nobody true 2>&1)" 'enter nobody'
compare '*network  real: * namespaces*' "$("$cluster" --name "$name" status)" status

"$kubectl" create -f - >/dev/null <<'OBJECTS'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: example.com/web, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: picky}
spec:
  replicas: 2
  selector: {matchLabels: {app: picky}}
  template:
    metadata: {labels: {app: picky}}
    spec:
      containers:
      - name: picky
        image: busybox
        command: [sh, -c, 'sleep 3600']
        ports: [{containerPort: 8080}]
        readinessProbe: {exec: {command: [test, -f, /tmp/ready]}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: picky}
spec: {selector: {app: picky}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {containers: [{name: client, image: example.com/client}]}
---
apiVersion: v1
kind: Pod
metadata: {name: echo}
spec:
  containers: [{name: echo, image: 'registry.k8s.io/e2e-test-images/agnhost:2.53', args: [netexec], ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: echo, labels: {of: echo}}
spec: {type: NodePort, selector: {run: echo}, ports: [{port: 80, targetPort: 8080, nodePort: 30081}]}
OBJECTS
"$kubectl" label pod echo run=echo >/dev/null
rollout deployment/web
"$kubectl" wait --for=condition=Ready pod/client pod/echo --timeout=60s >/dev/null
address=$("$kubectl" get service web -o 'jsonpath={.spec.clusterIP}')
until_is 3 who client "http://$address" 12

# Through the rules, by address and by name, from a pod and from a node: 1 in 10^7 misses one of three in 40.
compare 3 "$(who client "http://$address" 40)" "40 times $address from a pod"
compare 3 "$(who client http://web 40)" '40 times by name'
compare 3 "$(who client http://web.default.svc.cluster.local 40)" '40 times by the whole name'
compare 3 "$(who node-2 "http://$address" 40)" "40 times $address from a node"
compare 'web-*' "$(sort -u "$folder/answers" | head -n 1)" 'who answers'
pods=$("$kubectl" get pods -l app=web -o 'jsonpath={.items[*].status.podIP}')
for pod in $pods; do
    compare 'web-*' "$(curl_of node-1 "http://$pod:8080")" "from a node to the pod $pod"
done
compare '*Connection refused*' "$(curl_of client -v "http://${pods%% *}:81")" 'a port where nobody listens'
compare '*KUBE-SVC-*KUBE-SEP-*' "$(in_ node-1 iptables-save -t nat)" 'the rules of a node'

# A node port, from outside: whoever answers sees a node.
nodes=$("$kubectl" get nodes -o 'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}')
for node in $nodes; do
    compare 3 "$(who client "http://$node:30080" 40)" "40 times $node:30080"
done
compare 'web-*' "$(curl_of client "http://${nodes%% *}:30080")" 'the node port from a pod'
own=$("$kubectl" get pod client -o 'jsonpath={.status.podIP}')
compare "$own:*" "$(curl_of client http://echo/clientip)" 'whom a pod sees that another pod calls'
place=$("$cluster" --name "$name" enter client -- true && echo there)
compare there "$place" 'entering a pod'

# Who is not ready gets nothing.
compare '*Couldn*t connect*' "$(curl_of client http://picky)" 'nobody is ready'
ready=$("$kubectl" get pods -l app=picky -o 'jsonpath={.items[0].metadata.name}')
"$kubectl" exec "$ready" -- touch /tmp/ready
until_is "$ready" curl_of client http://picky
compare 1 "$(who client http://picky 20)" 'only one is ready'

pod=${pods%% *} node=${nodes%% *}
agree pod/client web:80 echo:80 nobody:80 "$address:80" "$address:81" "$pod:8080" "$pod:80" "$node:30080" "$node:30079"
agree node-1 "$address:80" "$pod:8080" "$pod:80" "$node:30080" 10.244.77.5:80

# Fewer pods, and none.
"$kubectl" scale deployment web --replicas=1 >/dev/null
left() { in_ node-3 iptables-save -t nat | grep -c -- '-A KUBE-SVC-.*default/web ->'; }
until_is 1 left
compare 1 "$(who client http://web 20)" 'one replica'
compare '*' "$("$kubectl" delete service web)" 'the service goes'
gone() { curl_of client http://web | grep -c 'resolve host'; }
until_is 1 gone

# A node without power.
"$kubectl" get pod echo -o 'jsonpath={.spec.nodeName}' >"$folder/node"
"$cluster" --name "$name" fault crash "$(cat "$folder/node")" >/dev/null
dead() { curl_of client -m 1 http://echo/hostname | grep -c 'timed out\|connect'; }
until_is 1 dead
"$cluster" --name "$name" fault restart "$(cat "$folder/node")" >/dev/null
alive() { curl_of client http://echo/hostname; }
until_is echo alive

# A cluster of the same name that belongs to another folder.
mkdir "$folder/debug"
cp "$cluster" "$folder/debug/"
compare '*another cluster * has network namespaces*' \
    "$(timeout 20 "$folder/debug/cluster" --name "$name" up --real-network 2>&1 || true)" 'a second one of this name'

"$cluster" --name "$name" down >/dev/null
spaces() { ip netns list | grep -c "^$name:" || true; }
compare 0 "$(spaces)" 'namespaces after the end'
compare '' "$(ls /etc/netns 2>/dev/null | grep "^$name:" || true)" 'files after the end'

# A cluster that is killed leaves them, and the next one of its name takes them away.
"$cluster" --name "$name" up --real-network --kubeconfig "$KUBECONFIG" >"$folder/killed" 2>&1 &
killed=$!
for _ in $(seq 100); do
    grep -q 'export KUBECONFIG' "$folder/killed" && break
    sleep 0.2
done
kill -9 $killed
wait $killed 2>/dev/null || true
compare '[1-9]*' "$(spaces)" 'namespaces of a cluster that was killed'

# The rules of a learner who forgot the target port: connections go to port 80 of pods that listen on 8080.
sed 's/port: endpoint.port/port: service.port/' solutions/network/kube_proxy.rs >"$folder/wrong.rs"
tail -n 1 exercises/network/kube_proxy.rs >>"$folder/wrong.rs"
# Built before: a cluster in the background has only so long to come up.
"$CARGO_GRADE" worker network/kube_proxy --build --modules "$folder/wrong.rs" >/dev/null
up --modules "network/kube_proxy=$folder/wrong.rs" || { cat "$folder/up"; exit 1; }
"$kubectl" create deployment web --image=example.com/web --port=8080 >/dev/null
"$kubectl" expose deployment web --port=80 --target-port=8080 >/dev/null
"$kubectl" run client --image=example.com/client >/dev/null
rollout deployment/web
"$kubectl" wait --for=condition=Ready pod/client --timeout=60s >/dev/null
address=$("$kubectl" get service web -o 'jsonpath={.spec.clusterIP}')
wrong() { in_ node-1 iptables-save -t nat | grep -c -- '-j DNAT --to-destination .*:80$'; }
until_is 1 wrong
compare '*Couldn*t connect*' "$(curl_of client "http://$address")" 'a rule with the wrong port'
compare 'web-*' "$(curl_of client "http://$("$kubectl" get pods -l app=web -o 'jsonpath={.items[0].status.podIP}'):8080")" 'the pod itself'
"$cluster" --name "$name" down >/dev/null
compare 0 "$(spaces)" 'namespaces after the end'

echo "real packets and kubectl $version: $((steps - failed)) of $steps answers are as they must be"
[ $failed = 0 ]
