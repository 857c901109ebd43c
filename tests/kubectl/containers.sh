#!/bin/sh
# Plays with containers through a real kubectl: `tests/kubectl/containers.sh [VERSION…]`, each like 1.32, as
# `tests/kubectl/run` has fetched them.
#
# Nothing here was recorded. What each command must print follows from the rules of upstream: `LogLocation` and
# `validateContainer` (pkg/registry/core/pod/strategy.go), `validateContainerLogStatus` (pkg/kubelet/kubelet_pods.go),
# `remotecommand` of client-go for exit codes, and `kubectl top` over metrics-server.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
[ -n "${BUILT:-}" ] || cargo build --quiet --package cluster
cluster=$target/debug/cluster

# check EXPECTED ARGS…: what kubectl prints, on both outputs, must be this; a last line `exit N` stands for its exit code.
check() {
    expected=$1
    shift
    code=0
    got=$("$kubectl" "$@" 2>&1 </dev/null) || code=$?
    [ $code = 0 ] || got="$got
exit $code"
    compare "$expected" "$got" "$*"
}

# typed INPUT EXPECTED ARGS…: the same, with input.
typed() {
    input=$1 expected=$2
    shift 2
    code=0
    got=$(printf "$input" | "$kubectl" "$@" 2>&1) || code=$?
    [ $code = 0 ] || got="$got
exit $code"
    compare "$expected" "$got" "$*"
}

compare() {
    steps=$((steps + 1))
    set -- "$1" "$(printf '%s' "$2" | sed 's/ *$//')" "$3"
    # A pattern of the shell: `*` stands for what differs from run to run.
    case $2 in
    $1) ;;
    *)
        failed=$((failed + 1))
        printf -- '--- kubectl %s\n  expected: %s\n  got:      %s\n' "$3" "$1" "$2"
        ;;
    esac
}

until_is() {
    for _ in $(seq 100); do
        "$kubectl" "$@" 2>/dev/null | grep -q . && return
        sleep 0.2
    done
    echo "gave up waiting for: $*"
}

# resize EXPECTED POD CONTAINER CPU: what is said when a container is to get so much CPU.
resize() {
    check "$1" patch pod "$2" --subresource resize \
        --patch "{\"spec\":{\"containers\":[{\"name\":\"$3\",\"resources\":{\"requests\":{\"cpu\":\"$4\"}}}]}}"
}

play() {
    version=$1 name=containers-$$ steps=0 failed=0
    kubectl=$target/kubectl/$version/kubectl
    [ -x "$kubectl" ] || { echo "kubectl $version is not there: tests/kubectl/run $version fetches it"; return 1; }
    folder=$(mktemp -d)
    "$cluster" --name "$name" up --detach --speed 5 --kubeconfig "$folder/kubeconfig" >"$folder/up" || { cat "$folder/up"; return 1; }
    export HOME="$folder" KUBECONFIG="$folder/kubeconfig" KUBECACHEDIR="$folder/cache"
    until_is get serviceaccount default

    "$kubectl" run once --image=busybox --restart=Never -- sh -c 'echo hi; sleep 10; echo bye; exit 3' >/dev/null
    "$kubectl" run web --image=nginx --labels=app=web --env=COLOR=blue >/dev/null
    "$kubectl" apply -f - >/dev/null <<'EOF'
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  initContainers: [{name: setup, image: busybox, command: [sh, -c, "echo set up"]}]
  containers:
  - {name: a, image: busybox, command: [sh, -c, "while true; do echo tick; sleep 1; done"]}
  - {name: b, image: nginx}
EOF
    "$kubectl" run broken --image=broken:1 >/dev/null
    "$kubectl" run crash --image=busybox -- sh -c 'echo run; exit 1' >/dev/null
    "$kubectl" wait --for=condition=Ready pod/web pod/two --timeout=60s >/dev/null

    check 'hi
bye' logs -f once
    check 'bye' logs once --tail=1
    check '20* bye' logs once --tail=1 --timestamps
    check 'hi' logs once --limit-bytes=3
    check 'Error from server (BadRequest): previous terminated container "once" in pod "once" not found
exit 1' logs -p once
    check 'set up' logs two -c setup
    check 'error: container zz is not valid for pod two*
exit 1' logs two -c zz
    check '*rror from server (NotFound): pods "none" not found*
exit 1' logs none
    check 'Error from server (BadRequest): container "broken" in pod "broken" is waiting to start: *
exit 1' logs broken
    until_is get pod crash -o 'jsonpath={.status.containerStatuses[0].lastState.terminated.exitCode}'
    check 'run' logs -p crash
    check '*nginx: started; *' logs -l app=web

    check 'blue' exec web -- printenv COLOR
    check 'web' exec web -- hostname
    check 'out
command terminated with exit code 4
exit 4' exec web -- sh -c 'echo out; exit 4'
    check '*exec: "dig": executable file not found in $PATH: unknown
exit 1' exec web -- dig localhost
    check "tar: removing leading '/' from member names" cp web:/etc/hostname "$folder/hostname"
    check '' cp "$folder/hostname" web:/tmp/copied
    check 'web' exec web -- cat /tmp/copied
    check 'Mem: *CPU: *Load average: *1*root*nginx: master process*' exec web -- top -bn1
    typed 'echo $((6*7))\nexit 5\n' '42
command terminated with exit code 5
exit 5' exec -i web -- sh
    typed 'one\ntwo\n' 'one
two' exec -i web -- cat
    typed 'echo $((6*7))\nexit\n' '*42*' run talk --image=busybox --restart=Never --rm -i --quiet -- sh
    check 'error: *port-forward has nothing to reach here*
exit 1' port-forward web 8080:80
    check 'Error from server (Forbidden): pods "web" is forbidden: User "jane" cannot get resource "pods" in API group "" in the namespace "default"
exit 1' logs web --as jane

    until_is top pod web --no-headers
    until_is top pod two --no-headers
    check 'web*1m*16Mi' top pod web --no-headers
    check 'POD*NAME*CPU(cores)*MEMORY(bytes)*
two*a*1m*16Mi*
two*b*1m*16Mi' top pod two --containers
    check 'NAME*CPU(cores)*MEMORY(bytes)*
web*1m*16Mi' top pods -l app=web
    check '*two*2m*32Mi*' top pods -A --sort-by=memory
    check 'NAME*CPU(cores)*CPU*MEMORY(bytes)*
node-1*node-2*node-3*' top nodes
    check 'Error from server (NotFound): pods "none" not found
exit 1' top pod none

    # Processes and signals (pid_namespaces(7)): what process 1 doesn't catch doesn't end it, and nginx catches SIGTERM.
    "$kubectl" apply -f - >/dev/null <<'EOF'
apiVersion: v1
kind: Pod
metadata: {name: shares}
spec:
  shareProcessNamespace: true
  containers:
  - {name: a, image: busybox, command: [sh, -c, "while true; do sleep 9999; done"]}
  - {name: b, image: nginx}
EOF
    "$kubectl" wait --for=condition=Ready pod/shares --timeout=60s >/dev/null
    check 'PID   USER     TIME  COMMAND
    1 root      0:00 nginx: master process nginx -g daemon off;
    2 101       0:00 nginx: worker process
* root      0:00 ps' exec web -- ps
    check '' exec web -- kill -9 1
    check '0' get pod web -o 'jsonpath={.status.containerStatuses[0].restartCount}'
    check "kill: can't kill pid 99: No such process
command terminated with exit code 1
exit 1" exec web -- kill 99
    check '' exec web -- kill 1
    until_is get pod web -o 'jsonpath={.status.containerStatuses[?(@.restartCount==1)].name}'
    check 'Completed 0' get pod web -o \
        'jsonpath={.status.containerStatuses[0].lastState.terminated.reason} {.status.containerStatuses[0].lastState.terminated.exitCode}'
    check 'PID   COMMAND
    1 pause
    8 sh
    9 sleep
   16 nginx
   17 nginx
* ps' exec shares -c a -- ps -o pid,comm
    check '' exec shares -c a -- kill -9 16
    until_is get pod shares -o 'jsonpath={.status.containerStatuses[?(@.restartCount==1)].name}'
    check 'Error 137' get pod shares -o \
        'jsonpath={.status.containerStatuses[1].lastState.terminated.reason} {.status.containerStatuses[1].lastState.terminated.exitCode}'
    "$kubectl" debug two --image=busybox --target=a --container=eye -- sh -c 'cat /proc/1/comm; echo found >/proc/1/root/tmp/eye' >/dev/null 2>&1
    until_is get pod two -o 'jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.reason}'
    check 'sh' logs two -c eye
    check 'found' exec two -c a -- sh -c 'cp /tmp/eye /tmp/copy; mv /tmp/copy /tmp/moved; cat /tmp/moved'

    # A pod that runs is changed, somebody looks around in it, and another waits for its settings (`ValidatePodResize`,
    # `HashContainer`, `makeEnvironmentVariables`).
    "$kubectl" apply -f - >/dev/null <<'EOF'
apiVersion: v1
kind: Pod
metadata: {name: sized}
spec:
  terminationGracePeriodSeconds: 2
  containers:
  - {name: a, image: "busybox:1", command: [sh, -c, "sleep infinity"], resources: {requests: {cpu: 100m}}}
---
apiVersion: v1
kind: Pod
metadata: {name: unset}
spec:
  containers:
  - {name: a, image: "busybox:1", envFrom: [{configMapRef: {name: nothing}}]}
EOF
    "$kubectl" wait --for=condition=Ready pod/sized --timeout=60s >/dev/null
    resize 'The Pod "web" is invalid: spec: Invalid value: "BestEffort": Pod QOS Class may not change as a result of resizing
exit 1' web web 100m
    resize 'pod/sized patched' sized a 200m
    until_is get pod sized -o 'jsonpath={.status.containerStatuses[?(@.resources.requests.cpu=="200m")].name}'
    check '200m 0' get pod sized -o \
        'jsonpath={.status.containerStatuses[0].allocatedResources.cpu} {.status.containerStatuses[0].restartCount}'
    resize 'pod/sized patched' sized a 100
    until_is get pod sized -o 'jsonpath={.status.conditions[?(@.reason=="Infeasible")].type}'
    check "PodResizePending Node didn't have enough capacity: cpu, requested: 100000, capacity: 4000" get pod sized -o \
        'jsonpath={.status.conditions[?(@.reason=="Infeasible")].type} {.status.conditions[?(@.reason=="Infeasible")].message}'
    "$kubectl" debug sized --image=busybox --container=guest -- sh -c 'echo looked around; exit 2' >/dev/null 2>&1
    until_is get pod sized -o 'jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}'
    check 'looked around' logs sized -c guest
    check 'pod/sized image updated' set image pod/sized a=busybox:2
    until_is get pod sized -o 'jsonpath={.status.containerStatuses[?(@.restartCount==1)].name}'
    check '*Container a definition changed, will be restarted*' events --for pod/sized
    until_is get pod unset -o 'jsonpath={.status.containerStatuses[0].state.waiting.message}'
    check 'CreateContainerConfigError configmap "nothing" not found' get pod unset -o \
        'jsonpath={.status.containerStatuses[0].state.waiting.reason} {.status.containerStatuses[0].state.waiting.message}'

    node=$("$kubectl" get pod web -o 'jsonpath={.spec.nodeName}')
    "$cluster" --name "$name" fault partition "$node" >/dev/null
    check 'Error from server: Get "https://192.168.0.*:10250/containerLogs/default/web/web": dial tcp 192.168.0.*:10250: i/o timeout
exit 1' logs web
    check '*error dialing backend: dial tcp 192.168.0.*:10250: i/o timeout
exit 1' exec web -- env

    "$cluster" --name "$name" down >/dev/null
    rm -rf "$folder"
    echo "kubectl $version: $((steps - failed))/$steps as expected"
    [ $failed = 0 ]
}

[ $# -gt 0 ] || set -- 1.32
result=0
for version in "$@"; do play "$version" || result=1; done
exit $result
