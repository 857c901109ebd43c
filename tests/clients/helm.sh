#!/bin/sh
# What people do with helm: install and wait, upgrade, see what is there, roll back, uninstall. Usage: helm.sh HELM KUBECTL
set -eu
helm=$1 kubectl=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME="$work" KUBECACHEDIR="$work/cache"
cd "$work"
# The chart that helm itself begins with: Deployment, Service, ServiceAccount, and values for an autoscaler.
"$helm" create shop >/dev/null
same() { [ "$1" = "$2" ] || { echo "helm: $3: $1, and not $2"; exit 1; }; }
"$kubectl" create namespace helm >/dev/null

"$helm" install shop ./shop --namespace helm --set replicaCount=2 --wait --timeout 60s >/dev/null
same "$("$kubectl" -n helm get deployment shop -o jsonpath='{.status.availableReplicas}')" 2 "after install"
same "$("$helm" -n helm list -o json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["status"])')" deployed "its status"
"$helm" upgrade shop ./shop --namespace helm --set replicaCount=3,autoscaling.enabled=true,autoscaling.minReplicas=3 --wait --timeout 60s >/dev/null
same "$("$kubectl" -n helm get hpa shop -o jsonpath='{.spec.minReplicas}')" 3 "the autoscaler"
same "$("$kubectl" -n helm get secrets -l owner=helm -o name | wc -l | tr -d ' ')" 2 "releases kept as secrets"
"$helm" rollback shop 1 --namespace helm --wait --timeout 60s >/dev/null
same "$("$kubectl" -n helm get hpa -o name)" "" "after rollback"
same "$("$kubectl" -n helm get deployment shop -o jsonpath='{.spec.replicas}')" 2 "after rollback"
same "$("$helm" -n helm history shop -o json | python3 -c 'import json,sys; print([r["status"] for r in json.load(sys.stdin)])')" \
    "['superseded', 'superseded', 'deployed']" "history"
# A chart that the API server refuses says so.
if refused=$("$helm" upgrade shop ./shop --namespace helm --set service.port=0 2>&1); then echo "helm: port 0 was taken"; exit 1; fi
case $refused in *"must be between 1 and 65535"*) ;; *) echo "helm: $refused"; exit 1 ;; esac
"$helm" uninstall shop --namespace helm --wait --timeout 60s >/dev/null
"$kubectl" -n helm wait --for=delete pod --all --timeout=60s >/dev/null
same "$("$kubectl" -n helm get all -o name)" "" "after uninstall"
"$kubectl" delete namespace helm >/dev/null
echo "helm $("$helm" version --template '{{.Version}}'): everything as expected"
