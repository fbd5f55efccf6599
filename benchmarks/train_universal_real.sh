#!/usr/bin/env bash
# A universal model of WFC3/UVIS from real exposures, without labels: fetch them and darks near them, train, write the model.
# usage, from the repository's root and in its environment: benchmarks/train_universal_real.sh OUT [option=value of train.py ...]
#   TABLE=benchmarks/universal_real.csv  filter, proposal and number of exposures a line
#   DARKS=12                             for each line at most, shared where lines have the same
# What is there already is not fetched again; a training that was stopped goes on.
set -euo pipefail
out=$1
shift
table=${TABLE:-benchmarks/universal_real.csv}
darks=${DARKS:-12}
python=${PYTHON:-python}

while IFS=, read -r filter proposal exposures _; do
  $python download.py "proposal=$proposal" "filter=$filter" camera=WFC3/UVIS "max=$exposures" darks=near "max_darks=$darks" \
    "output_dir=$out" yes=true "hydra.run.dir=$out/log/${proposal}_$filter" </dev/null
done < <(tail -n +2 "$table")

run=$out/run
resume=()
[ -f "$run/checkpoints/last.ckpt" ] && resume=("ckpt_path=$run/checkpoints/last.ckpt")
# Added CRs alone are labelled: what is fainter than twice the noise in them is nobody's, and filters take turns.
$python train.py experiment=universal "data.science=$out/science" "data.darks=$out/darks" data.label_snr=2 \
  'data.balance=[filter,crowding]' data.test_fraction=0 "hydra.run.dir=$run" "${resume[@]}" "$@"
$python -m deepcr_lightning.export "$run/checkpoints/last.ckpt" "$out/universal_real.ckpt"
