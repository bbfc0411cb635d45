#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The walk-through "memory leak, OOMKilled" in the commands of az, against oomlab serve. With AZ=az and a registry's
# image in IMAGE the same commands are Azure's.
#
#   oomlab serve --backoff fast &
#   labs/memory-leak-oomkilled-az.sh
#
# It waits for what each step must show and fails when that does not come. AZ may hold options, too.
# shellcheck disable=SC2086
set -eu

AZ=${AZ:-oomlab}
IMAGE=${IMAGE:-builtin/leaky}
RG=${RG:-rg-oom-lab}
ENVIRONMENT=${ENVIRONMENT:-cae-oom-lab}
APP=${APP:-ca-oom-lab}
PORT=${PORT:-8000}
SECONDS_MAX=${SECONDS_MAX:-60}

step() { printf '\n== %s\n' "$*"; }

# wait_for WHAT EXPECTED COMMAND...: until its output is (or contains) what is expected.
wait_for() {
    what=$1
    expected=$2
    shift 2
    end=$(($(date +%s) + SECONDS_MAX))
    while :; do
        found=$("$@" 2>&1) || true
        case $found in
        *"$expected"*)
            printf '%s: %s\n' "$what" "$expected"
            return 0
            ;;
        esac
        if [ "$(date +%s)" -ge "$end" ]; then
            printf '%s: no "%s" after %s s, but:\n%s\n' "$what" "$expected" "$SECONDS_MAX" "$found" >&2
            return 1
        fi
        sleep 0.2
    done
}

step 'A resource group, an environment, and the app with 0.25 CPU and 0.5Gi'
$AZ group create --name "$RG" --location westeurope --output none
$AZ containerapp env create --name "$ENVIRONMENT" --resource-group "$RG" --location westeurope --output none
$AZ containerapp create --name "$APP" --resource-group "$RG" --environment "$ENVIRONMENT" --image "$IMAGE" \
    --cpu 0.25 --memory 0.5Gi --min-replicas 1 --max-replicas 1 --target-port "$PORT" --ingress external \
    --env-vars MODE=healthy --output table
FIRST=$($AZ containerapp show --name "$APP" --resource-group "$RG" --query properties.latestRevisionName --output tsv)
FQDN=$($AZ containerapp show --name "$APP" --resource-group "$RG" \
    --query properties.configuration.ingress.fqdn --output tsv)
wait_for 'health' Healthy $AZ containerapp revision list --name "$APP" --resource-group "$RG" \
    --query '[0].properties.healthState' --output tsv
curl -fsS "http://$FQDN/health"
echo

step 'Trigger: the app needs 600 MiB at its start'
$AZ containerapp update --name "$APP" --resource-group "$RG" --set-env-vars MODE=hard-oom --output none
BAD=$($AZ containerapp show --name "$APP" --resource-group "$RG" --query properties.latestRevisionName --output tsv)
wait_for "health of $BAD" Unhealthy $AZ containerapp revision show --name "$APP" --resource-group "$RG" \
    --revision "$BAD" --query properties.healthState --output tsv

step 'Observe: exit code 137 in the system log; the old revision still has the traffic'
wait_for 'system log' "was terminated with exit code '137' and reason 'ProcessExited'" \
    $AZ containerapp logs show --name "$APP" --resource-group "$RG" --type system --tail 100
$AZ containerapp revision list --name "$APP" --resource-group "$RG" --output table
$AZ containerapp replica list --name "$APP" --resource-group "$RG" --revision "$BAD" --output table
wait_for "traffic of $FIRST" 100 $AZ containerapp revision show --name "$APP" --resource-group "$RG" \
    --revision "$FIRST" --query properties.trafficWeight --output tsv
wait_for 'restarts' 1 $AZ containerapp replica list --name "$APP" --resource-group "$RG" --revision "$BAD" \
    --query '[0].properties.containers[0].restartCount' --output tsv

step 'Fix: 0.5 CPU and 1Gi'
$AZ containerapp update --name "$APP" --resource-group "$RG" --cpu 0.5 --memory 1Gi --output none
$AZ containerapp show --name "$APP" --resource-group "$RG" --query 'properties.template.containers[0].resources'
FIXED=$($AZ containerapp show --name "$APP" --resource-group "$RG" --query properties.latestRevisionName --output tsv)
wait_for "health of $FIXED" Healthy $AZ containerapp revision show --name "$APP" --resource-group "$RG" \
    --revision "$FIXED" --query properties.healthState --output tsv
wait_for 'active revisions' 1 $AZ containerapp revision list --name "$APP" --resource-group "$RG" \
    --query 'length(@)' --output tsv
curl -fsS "http://$FQDN/health"
echo

step 'Restart it, and split traffic between two revisions'
$AZ containerapp revision restart --name "$APP" --resource-group "$RG" --revision "$FIXED" --output none
wait_for "health of $FIXED" Healthy $AZ containerapp revision show --name "$APP" --resource-group "$RG" \
    --revision "$FIXED" --query properties.healthState --output tsv
$AZ containerapp revision set-mode --name "$APP" --resource-group "$RG" --mode multiple --output none
$AZ containerapp revision activate --name "$APP" --resource-group "$RG" --revision "$FIRST" --output none
$AZ containerapp ingress traffic set --name "$APP" --resource-group "$RG" \
    --revision-weight "$FIRST=20" "$FIXED=80" --output table
$AZ containerapp revision list --name "$APP" --resource-group "$RG" --output table

step 'Metrics of the revision that was killed'
wait_for 'restarts' '"maximum"' $AZ monitor metrics list --resource "$APP" --resource-group "$RG" \
    --resource-type Microsoft.App/containerApps --metric RestartCount --aggregation Maximum --interval PT1M \
    --filter "revisionName eq '$BAD'"

step 'Clean up'
$AZ containerapp delete --name "$APP" --resource-group "$RG" --yes
$AZ group delete --name "$RG" --yes
