#!/usr/bin/env bash
# The universal model from the tree alone: simulate every camera, train, write the model, score it on real images.
# usage, from the repository's root and in its environment: benchmarks/train_universal.sh OUT [option=value of train.py ...]
#   SEEDS="1 2 3 4 5 6"  sets of each camera; fewer are simulated in less time
#   JOBS=$(nproc)        processes that simulate
#   DATA=../shared/data  folder with the real images that calibrate and score it (docs/studies/real_images.md)
# What is done already is not done again; a training that was stopped goes on.
set -euo pipefail
out=$1
shift
seeds=${SEEDS:-1 2 3 4 5 6}
jobs=${JOBS:-$(nproc)}
python=${PYTHON:-python}
data=${DATA:-../shared/data}

cameras="wfc3_uvis acs_wfc acs_hrc wfpc2_wf wfpc2_pc stis thinned short_focus front_illuminated lsst deep_depletion
  acs_wfc_resampled thinned_resampled deep_depletion_resampled"
binned="thinned_binned deep_depletion_binned"
hst="wfc3_uvis acs_wfc acs_hrc wfpc2_wf wfpc2_pc stis acs_wfc_resampled"
slits="stis thinned lsst deep_depletion thinned_binned deep_depletion_binned"
fields="sparse cluster galaxy nebula ellipticals"

for seed in $seeds; do
  nth=0
  for camera in $cameras $binned; do
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

train() { # NAME SETS [option ...]: a run on the sets of some cameras; goes on if it was stopped
  local run=$out/$1 sets=$2
  shift 2
  [ -f "$run/checkpoints/last.ckpt" ] && set -- "$@" "ckpt_path=$run/checkpoints/last.ckpt"
  $python train.py experiment=universal "data.science=$(files "$sets" science)" "data.darks=$(files "$sets" darks)" \
    "data.truth=$out/train" data.test_fraction=0 "hydra.run.dir=$run" "$@"
}
files() { # SETS KIND
  local each=()
  for set in $1; do each+=("'$out/train/${set}_[0-9]*/$2/*.fits'"); done
  (IFS=, && echo "[${each[*]}]")
}

# All cameras but those that are binned; from there on with these, too, and the average of both networks, for exposures
# of any camera; from there on with the cameras of HST alone, for the part that takes its exposures.
train run "$cameras" "$@"
$python -m deepcr_lightning.export "$out/run/checkpoints/last.ckpt" "$out/unbinned.ckpt"
train_on() { # NAME SETS [option ...]
  local start=()
  [ -f "$out/$1/checkpoints/last.ckpt" ] || start=("init=$out/unbinned.ckpt")
  train "$1" "$2" "${start[@]}" data.tiles_per_epoch=8000 data.val_tiles=640 trainer.max_epochs=24 \
    model.learning_rate=2e-3 "${@:3}"
  $python -m deepcr_lightning.export "$out/$1/checkpoints/last.ckpt" "$out/$1.ckpt"
}
train_on run_all "$cameras $binned" "$@"
$python benchmarks/average_weights.py "$out/unbinned.ckpt" "$out/run_all.ckpt" "$out/all.ckpt"
train_on run_hst "$hst" "$@"

# What their probabilities lack on real images, and the scores there. The model that is shipped is an average with a
# network that was shifted before: its own shift is smaller.
real=(--data "$data")
$python benchmarks/real_calibration.py "$out/all.ckpt" "$out/universal.ckpt" --shift -0.9 --prior 0.02 "${real[@]}" --sets kast_ucsc \
  sbig_agsq decam_sfft decam_legacypipe hsc_crs tr_decam_sfft tr_stargate tr_m13_blue tr_subaru
$python benchmarks/real_calibration.py "$out/run_hst.ckpt" "$out/universal-hst.ckpt" --shift -0.5 --prior 0.005 "${real[@]}" --sets wfpc2_f336w \
  tr_wfpc2_f336w hst_pluto uvis_2013fy27
for part in universal universal-hst; do
  $python benchmarks/real_sky.py "$out/$part.ckpt" "${real[@]}" --json "$out/real_sky_$part.json"
done
