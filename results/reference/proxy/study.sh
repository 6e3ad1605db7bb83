#!/bin/sh
# Makes the pages of this folder again: data into DATA, tables and pictures beside this file.
# One thread; some two hours. NAME: one of dram, systolic, accelerator, regret, speed, surrogate (default: all). Speed
# wants the machine for itself, and the data of systolic and accelerator.
#
#     sh results/reference/proxy/study.sh DATA [NAME]
set -e
export OMP_NUM_THREADS=1
data=$1
here=$(dirname "$0")
name=${2:-all}

case $name in dram | all)
    for trace in stream random cloud-1 cloud-2 gen-mixed gen-hotrow; do
        archgym dataset collect "tabular/$trace/edp" --set "sim.table=dram-rl-$trace" --n 7000 --mix random --out "$data/dram-$trace"
        archgym proxy study "$data/dram-$trace" --out "$here/dram-$trace" --metrics latency,power,energy --seeds 2
    done
    archgym dataset collect tabular/cloud-1/edp --set sim.table=dram-rl-cloud-1 --n 6000 \
        --mix random:0.4,genetic:0.2,annealing:0.2,ant-colony:0.2 --out "$data/dram-agents"
    archgym proxy study "$data/dram-agents" --out "$here/dram-agents" --rows 100,300 --models auto --seeds 3 --by-agent
    ;;
esac

case $name in systolic | all)
    archgym dataset collect systolic-resnet50-edp-1m --n 17000 --mix random --out "$data/systolic"
    archgym proxy study "$data/systolic" --out "$here/systolic" --rows 100,1000,10000 --seeds 2 \
        --models auto,gaussian,lightgbm,mlp,random-forest
    # which 100 designs they are makes a difference of a fifth
    archgym proxy study "$data/systolic" --out "$here/systolic-100" --rows 100 --seeds 10
    ;;
esac

case $name in accelerator | all)
    archgym dataset collect accelerator/alexnet/edp --n 2500 --mix random --out "$data/accelerator"
    for lower in "" "--lower roofline"; do
        archgym proxy study "$data/accelerator" --out "$here/accelerator${lower:+-roofline}" --rows 50,100,200,400,800,1400 \
            --seeds 2 --models auto,lightgbm $lower
    done
    ;;
esac

case $name in regret | all)
    echo problem,seed,first,of_20,of_40 > "$here/regret.csv"
    for problem in gen-mixed-p99 gen-mixed-latency-power gen-hotrow-p99-power gen-hotrow-ed2p; do
        for seed in 0 1 2; do
            rows=$data/$problem-$seed
            archgym dataset collect "dram-rl-$problem" --n 1560 --mix random --seed "$seed" --out "$rows"
            archgym proxy fit "$rows" --out "$rows-proxy" --seed "$seed"
            archgym proxy verify "$rows-proxy" --seed "$seed" --rounds 2 --data "$rows" --json | python -c "
import json, sys
found = json.load(sys.stdin)
regrets = [found['regret'], *found['regret_by_round']]
print('$problem', $seed, *('inf' if r is None else r for r in regrets), sep=',')" >> "$here/regret.csv"
        done
    done
    ;;
esac

case $name in speed | all)
    archgym dataset collect dram/cloud-1/edp --set sim.space=archgym-rl --n 2000 --mix random --out "$data/dram-simulated"
    for what in dram-simulated systolic accelerator; do
        archgym proxy study "$data/$what" --out "$here/speed-$what" --rows 1000 --seeds 1 \
            --models auto,gaussian,lightgbm,random-forest,additive --speed
    done
    ;;
esac

case $name in surrogate | all)
    archgym compare systolic-resnet50-edp-1m systolic-gpt2-decode-energy-1m systolic-mobilenet_v2-latency-area-1m \
        dram-rl-gen-mixed-p99 dram-rl-gen-hotrow-ed2p mapping-shidiannao-pointwise-edp-3m \
        --agents "genetic,surrogate(genetic)" --budgets 50,100,200,400 --seeds 10 --batch 1 --out "$data/surrogate"
    ;;
esac
