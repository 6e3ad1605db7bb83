#!/bin/sh
# The reports of study.toml and study-large.toml:
# sh results/reference/marl/report.sh results/marl-study results/marl-study-large
set -e
runs=$1 large=$2

report() {  # folder to read, to write; then options
    from=$1 to=$2
    shift 2
    archgym report "$from" --against joint-ppo --pairs --out "$to" \
        --name "ippo=ippo (*" --name "joint-ppo=joint-ppo (*" --name "reinforce=reinforce (*" "$@"
}

report "$runs" "$runs/study" --where "budget == 1000" --budgets 1000 \
    --name "ppo-cells=ppo (actions=cells*" --name "ppo-rounded=ppo (actions=rounded*" --name "ppo=ppo (distinct*" \
    --name "sac-rounded=sac (actions=rounded*" --name "sac=sac (batch*"
report "$runs" "$runs/study-10k" --where "budget == 10000" --budgets 10000 --name "ppo=ppo (*" --name "sac=sac (*"
[ -z "$large" ] || report "$large" "$large/study-large" --budgets 1000,10000 \
    --name "ppo-cells=ppo (actions=cells*" --name "ppo=ppo (distinct*" --name "sac=sac (*"
