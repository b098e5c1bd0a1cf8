#!/usr/bin/env bash
# Runs an aemg command on Kubernetes, as a JobSet (jobset.sigs.k8s.io) of one pod for each host.
#
#   bash launch/jobset.sh --image I --hosts N (--tpu TYPE --topology T | --gpus G) [options] ARGUMENTS OF aemg
#   bash launch/jobset.sh --image I --hosts 4 --tpu tpu-v5p-slice --topology 2x2x4 --claim emg \
#     train --config=configs/pretrain_all.py:vq,size=base --prepared=/mnt/prepared --workdir=/mnt/vq
#
#   --image NAME      a container with this package installed
#   --hosts N         pods: hosts of the TPU slice, or machines with GPUs
#   --tpu TYPE, --topology T, --chips N   GKE's names of the slice, and chips of a host (default 4)
#   --gpus G          GPUs of a machine
#   --claim NAME      PersistentVolumeClaim that is mounted at /mnt in all pods
#   --name NAME       of the JobSet (default aemg)
#   --restarts N      times that a job that failed starts again (default 20)
#   --dry_run         prints the YAML
#
# The pods find each other: on a TPU by its metadata, else by the name of pod 0. A pod that is evicted gets
# SIGTERM, all pods save the same step and exit 0, but the evicted one exits 75: the JobSet starts again, and
# this does not count as a restart.
set -euo pipefail

die() {
  printf 'error: %s\n' "$*" >&2
  exit 2
}

image='' hosts='' tpu='' topology='' chips=4 gpus='' claim='' name=aemg restarts=20 dry_run=''
while (($#)); do
  case $1 in
    -h | --help)
      sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "${BASH_SOURCE[0]}"
      exit 0
      ;;
    --dry_run) dry_run=1 && shift && continue ;;
    --image | --hosts | --tpu | --topology | --chips | --gpus | --claim | --name | --restarts)
      [[ -n ${2:-} ]] || die "$1 needs a value"
      ;;
    -*) die "unknown option '$1', see --help" ;;
    *) break ;;
  esac
  printf -v "${1#--}" '%s' "$2"
  shift 2
done
[[ -n $image ]] || die "--image is needed, see --help"
[[ $hosts =~ ^[1-9][0-9]*$ ]] || die "--hosts is '$hosts', expected a number from 1"
[[ $restarts =~ ^[0-9]+$ ]] || die "--restarts is '$restarts', expected a number from 0"
[[ $name =~ ^[a-z]([-a-z0-9]*[a-z0-9])?$ ]] || die "--name is '$name', expected a DNS label"
if [[ -n $gpus ]]; then
  [[ $gpus =~ ^[1-9][0-9]*$ && -z $tpu ]] || die "--gpus is '$gpus', expected a number from 1, and no --tpu"
  resource="nvidia.com/gpu: $gpus"
  selector='{}'
else
  [[ -n $tpu && -n $topology && $chips =~ ^[1-9][0-9]*$ ]] || die "--tpu and --topology, or --gpus, see --help"
  resource="google.com/tpu: $chips"
  selector="{cloud.google.com/gke-tpu-accelerator: $tpu, cloud.google.com/gke-tpu-topology: $topology}"
fi
(($#)) || die "no command, expected the arguments of aemg, such as train --config=..."

# A pod that was told to stop has not finished, though aemg exits 0 after it has saved.
# shellcheck disable=SC2016  # for the shell of the pod
run='trap "stopped=1; kill -TERM \$pid" TERM; python -m aemg_jax.main "$@" & pid=$!; status=0; '
run+='wait $pid || status=$?; if [ -n "${stopped:-}" ]; then wait $pid; exit 75; fi; exit $status'

# As JSON strings, which YAML reads: quotes and backslashes of the arguments are kept.
command=''
for argument in bash -c "$run" aemg "$@"; do
  argument=${argument//\\/\\\\}
  command+="${command:+, }\"${argument//\"/\\\"}\""
done

render() {
  cat <<YAML
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: $name
spec:
  network: {enableDNSHostnames: true}
  failurePolicy:
    maxRestarts: $restarts
    rules:  # an eviction is nobody's fault
      - {name: evicted, action: RestartJobSetAndIgnoreMaxRestarts, onJobFailureReasons: [PodFailurePolicy]}
  replicatedJobs:
    - name: worker
      replicas: 1
      template:
        spec:
          completions: $hosts
          parallelism: $hosts
          completionMode: Indexed
          backoffLimit: 0
          podFailurePolicy:
            rules:
              - {action: FailJob, onPodConditions: [{type: DisruptionTarget, status: "True"}]}
          template:
            spec:
              restartPolicy: Never
              terminationGracePeriodSeconds: 120  # to save
              nodeSelector: $selector
              containers:
                - name: aemg
                  image: "$image"
                  command: [$command]
                  resources: {limits: {$resource}}
YAML
  if [[ -n $gpus ]]; then
    cat <<YAML
                  env:
                    - {name: JAX_COORDINATOR_ADDRESS, value: "$name-worker-0-0.$name:8476"}
                    - {name: JAX_NUM_PROCESSES, value: "$hosts"}
                    - name: JAX_PROCESS_ID
                      valueFrom:
                        fieldRef:
                          fieldPath: metadata.annotations['batch.kubernetes.io/job-completion-index']
YAML
  fi
  if [[ -n $claim ]]; then
    cat <<YAML
                  volumeMounts: [{name: data, mountPath: /mnt}]
              volumes: [{name: data, persistentVolumeClaim: {claimName: $claim}}]
YAML
  fi
}

if [[ -n $dry_run ]]; then
  render
  exit 0
fi
command -v kubectl >/dev/null || die "kubectl is not installed"
render | kubectl apply -f -
