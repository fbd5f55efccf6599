#!/usr/bin/env bash
# The universal model from the tree alone: simulate every camera, train, write the model, score it on real images.
# usage, from the repository's root and in its environment: benchmarks/train_universal.sh OUT [option=value of train.py ...]
#   SEEDS="1 2 3 4 5 6"  sets of each camera; fewer are simulated in less time
#   JOBS=$(nproc)        processes that simulate
# What is done already is not done again; a training that was stopped goes on.
set -euo pipefail
out=$1
shift
seeds=${SEEDS:-1 2 3 4 5 6}
jobs=${JOBS:-$(nproc)}
python=${PYTHON:-python}

cameras="wfc3_uvis acs_wfc acs_hrc wfpc2_wf wfpc2_pc stis thinned short_focus front_illuminated lsst deep_depletion
  acs_wfc_resampled thinned_resampled deep_depletion_resampled"
slits="stis thinned lsst deep_depletion"
fields="sparse cluster galaxy nebula ellipticals"

for seed in $seeds; do
  nth=0
  for camera in $cameras; do
    case " $slits " in *" $camera "*) all="$fields spectrum" ;; *) all=$fields ;; esac
    # Four visits to a set: each set begins with another kind of field.
    read -ra order <<<"$all"
    turn=$(((4 * seed + nth) % ${#order[@]}))
    echo "$camera" "$seed" "${order[@]:turn}" "${order[@]:0:turn}" # no blank at the end: xargs would join lines
    nth=$((nth + 1))
  done
done | OMP_NUM_THREADS=1 xargs -P "$jobs" -L 1 bash -c '
  camera=$1 seed=$2
  '"$python"' -m deepcr_lightning.simulation '"$out"'/train/"$camera"_"$seed" --camera "$camera" --seed "$seed" \
    --filters F225W F275W F336W F350LP F390W F438W F475W F555W F606W F814W --fields "${@:3}" --size 512 512 --chips 1 \
    --exposure-times 30 3000 --exposures 4 --dithers 1 --darks 8 --quiet' simulate

run=$out/run
resume=()
[ -f "$run/checkpoints/last.ckpt" ] && resume=("ckpt_path=$run/checkpoints/last.ckpt")
$python train.py experiment=universal "data.science='$out/train/*/science/*.fits'" "data.darks='$out/train/*/darks/*.fits'" \
  "data.truth=$out/train" data.test_fraction=0 "hydra.run.dir=$run" "${resume[@]}" "$@"
$python -m deepcr_lightning.export "$run/checkpoints/last.ckpt" "$out/universal.ckpt"
$python benchmarks/real_sky.py "$out/universal.ckpt" --json "$out/real_sky.json"
