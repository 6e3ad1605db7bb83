#!/bin/sh
# The reports of study.toml: sh results/reference/marl/report.sh results/marl-study
set -e
runs=$1

report() {  # samples, folder; then options
    samples=$1 folder=$2
    shift 2
    archgym report "$runs" --where "budget == $samples" --budgets "$samples" --against joint-ppo --pairs \
        --out "$folder" --name "ippo=ippo (*" --name "joint-ppo=joint-ppo (*" --name "reinforce=reinforce (*" "$@"
}

report 1000 "$runs/study" --name "ppo-cells=ppo (actions=cells*" --name "ppo-rounded=ppo (actions=rounded*" \
    --name "ppo=ppo (distinct*" --name "sac-rounded=sac (actions=rounded*" --name "sac=sac (batch*"
report 10000 "$runs/study-10k" --name "ppo=ppo (*" --name "sac=sac (*"
