"""The fault matrix: every stage of a push meets every fault, and what is claimed is compared with storage.

python -m tests.faults                          # every case; the better part of an hour, with the lab
python -m tests.faults --sample 150 --seed 7    # a part of each way and stage
python -m tests.faults --case layout/put-blob/reset-after --verbose
python -m tests.faults --kill 60                # kill -9, so many runs a way
python -m tests.faults --stop 20                # SIGINT, SIGTERM and SIGHUP by turns, so many a way
"""
