#!/bin/sh
# Trains the policies of transfer.toml into results/policies, each on workloads other than those it is tried on.
# Run it from the root of the project; again, it goes on with what is missing. About six minutes.
set -e
train() { # NAME SAMPLES WORKLOADS PROBLEM...
  name=$1 samples=$2 workloads=$3; shift 3
  archgym train "$@" --on $workloads --samples $samples --out results/policies/$name.pt
}
NETWORKS=alexnet,vgg16,resnet18,mobilenet_v1,googlenet,tiny_yolo,vit-b16,gpt2-prefill
TRACES=stream,cloud-2,chstone-bf,chstone-gsm,chstone-mips,chstone-motion,chstone-sha,ddr3-example,gen-random-rw50
TRACES=$TRACES,gen-strided,gen-copy,gen-triad,gen-bursty,gen-sources
train systolic-100k-edp 20000 $NETWORKS systolic-mobilenet_v2-edp-100k
train systolic-1m-edp 20000 $NETWORKS systolic-resnet50-edp-1m
train systolic-1m-ed2p 20000 $NETWORKS systolic-bert-base-ed2p-1m
train systolic-1m-energy 20000 $NETWORKS systolic-gpt2-decode-energy-1m
train systolic-1m-latency-area 20000 $NETWORKS systolic-mobilenet_v2-latency-area-1m
DRAM="--set sim.space=archgym-rl"
train dram-p99 8960 $TRACES dram/gen-mixed/p99 $DRAM
train dram-latency-power 8960 $TRACES dram/gen-mixed/latency $DRAM --limit "power<=1.45"
train dram-p99-power 8960 $TRACES dram/gen-hotrow/p99 $DRAM --limit "power<=1.45"
train dram-ed2p 8960 $TRACES dram/gen-hotrow/ed2p $DRAM
