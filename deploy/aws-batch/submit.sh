#!/bin/bash
# deploy/aws-batch/submit.sh: 16 tasks, each of which is told its index and the size of the array by AWS Batch.
set -euo pipefail
cd "$(dirname "$0")"
aws batch register-job-definition --cli-input-json file://job-definition.json
aws batch submit-job --job-name fx-features --job-queue fx --job-definition rollfit --array-properties size=16
