"""KDD Cup 99, the 10 % file: connections to a network, most of them attacks, for anomaly detection.

The published protocol turns it round: attacks are four fifths of the rows and count as the inliers, the
normal connections are the anomalies. Half of the rows, drawn with one seed, are trained on, their inliers
only; the other half is the test, its anomalies thinned to a known ratio.

Many rows occur more than once, some in both halves, as published: no row of the test is trained on, but its
like may be.

Reference: Deep Autoencoding Gaussian Mixture Model for Unsupervised Anomaly Detection (Zong et al., 2018),
https://openreview.net/forum?id=BJJLHbb0-, section 4.1; Maximum Entropy Generators for Energy-Based Models
(Kumar et al., 2019), https://arxiv.org/abs/1901.08508, section 5.4 and the authors' code.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32
from torch import Tensor

from energy_gan.data.base import DataModule
from energy_gan.errors import InputError

FILE = "kddcup.data_10_percent.gz"
INLIERS = "every label but normal."
NORMAL = "normal."
COLUMNS = [
    "duration", "protocol_type", "service", "flag", "src_bytes", "dst_bytes", "land", "wrong_fragment",
    "urgent", "hot", "num_failed_logins", "logged_in", "num_compromised", "root_shell", "su_attempted",
    "num_root", "num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds", "is_host_login",
    "is_guest_login", "count", "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate",
    "srv_rerror_rate",
    "same_srv_rate", "diff_srv_rate", "srv_diff_host_rate", "dst_host_count", "dst_host_srv_count",
    "dst_host_same_srv_rate", "dst_host_diff_srv_rate", "dst_host_same_src_port_rate",
    "dst_host_srv_diff_host_rate", "dst_host_serror_rate", "dst_host_srv_serror_rate", "dst_host_rerror_rate",
    "dst_host_srv_rerror_rate", "label",
]  # fmt: skip
# A feature for each category that the 10 % file has, none dropped: 3 + 66 + 11 + 2 + 2 + 1 + 2 = 87; with the
# 34 columns of numbers, 121. Fixed here, so that the features do not depend on the rows that are read.
CATEGORIES = {
    "protocol_type": ["icmp", "tcp", "udp"],
    "service": [
        "IRC", "X11", "Z39_50", "auth", "bgp", "courier", "csnet_ns", "ctf", "daytime", "discard", "domain",
        "domain_u", "echo", "eco_i", "ecr_i", "efs", "exec", "finger", "ftp", "ftp_data", "gopher",
        "hostnames",
        "http", "http_443", "imap4", "iso_tsap", "klogin", "kshell", "ldap", "link", "login", "mtp", "name",
        "netbios_dgm", "netbios_ns", "netbios_ssn", "netstat", "nnsp", "nntp", "ntp_u", "other", "pm_dump",
        "pop_2", "pop_3", "printer", "private", "red_i", "remote_job", "rje", "shell", "smtp", "sql_net",
        "ssh",
        "sunrpc", "supdup", "systat", "telnet", "tftp_u", "tim_i", "time", "urh_i", "urp_i", "uucp",
        "uucp_path", "vmnet", "whois",
    ],
    "flag": ["OTH", "REJ", "RSTO", "RSTOS0", "RSTR", "S0", "S1", "S2", "S3", "SF", "SH"],
    "land": ["0", "1"],
    "logged_in": ["0", "1"],
    "is_host_login": ["0"],
    "is_guest_login": ["0", "1"],
}  # fmt: skip
NUMBERS = [name for name in COLUMNS[:-1] if name not in CATEGORIES]
FEATURES = NUMBERS + [f"{name}-{category}" for name, known in CATEGORIES.items() for category in known]


class KDDCup99(DataModule):
    """The attacks of one half to train on; the other half, attacks and normal connections, as a test.

    Attributes, after `setup`, besides those of `DataModule`, all rows in the file's own units:
        test: the inliers of the test half and as many anomalies as the ratio asks for.
        test_labels: 1 where a row of `test` is an anomaly, 0 where not.
        held_out: some of the inliers of `test`.

    Args:
        root: the folder that holds kddcup.data_10_percent.gz.
        shape: of one point, [121].
        ratio: the share of anomalies in the test. Where there are too few for it, all are taken, as
            published; the share is then less than was asked for.
        scaling: what the networks see: "none", the numbers as they are (published: a scaling to [0, 1] is
            computed there and thrown away); "min_max", each feature from 0 to 1 over the training
            rows; "standard", of mean 0 and variance 1. A constant feature is shifted, never divided.
        distinct: train on every different row once.
        split_seed: of the halves and of the anomalies that are kept; 42 is published.
        n_held_out: how many rows `held_out` has at most.
        batch_size, seed: as in `DataModule`; the seed orders the batches only.
    """

    def __init__(
        self,
        root: str,
        shape: Sequence[int],
        ratio: float = 0.2,
        scaling: Literal["none", "min_max", "standard"] = "standard",
        distinct: bool = False,
        split_seed: int = 42,
        n_held_out: int = 10_000,
        batch_size: int = 256,
        seed: int = 0,
    ):
        super().__init__(shape, batch_size, seed)
        if list(shape) != [len(FEATURES)]:
            raise ValueError(f"shape must be [{len(FEATURES)}], the features of a row, got {list(shape)}")
        if not 0 < ratio < 1:
            raise ValueError(f"ratio must be a share between 0 and 1, both excluded, got {ratio}")
        if scaling not in ("none", "min_max", "standard"):
            raise ValueError(f"scaling must be none, min_max or standard, got {scaling}")
        if not 0 <= split_seed < 2**32:
            raise ValueError(f"split_seed must be from 0 to 2³² − 1, got {split_seed}")
        if n_held_out < 1:
            raise ValueError(f"n_held_out must be at least 1, got {n_held_out}")
        self.root, self.ratio, self.scaling, self.distinct = root, ratio, scaling, distinct
        self.split_seed, self.n_held_out = split_seed, n_held_out
        self.columns = FEATURES

    def load(self) -> tuple[Float32[Tensor, "N 121"], Float32[Tensor, "M 121"]]:
        frame, file = read(self.root), Path(self.root, FILE)
        anomalous = frame["label"] == NORMAL
        in_train = pd.Series(False, frame.index)
        in_train[frame.sample(frac=0.5, random_state=self.split_seed).index] = True
        train, inliers = frame[in_train & ~anomalous], frame[~in_train & ~anomalous]
        anomalies = frame[~in_train & anomalous]
        for what, rows, least in (
            (f"attacks ({INLIERS})", train, 2),
            (f"attacks ({INLIERS})", inliers, 1),
            (f"rows labelled {NORMAL}", anomalies, 1),
        ):
            if len(rows) < least:
                raise InputError(
                    f"half of {file} has {len(rows)} {what}, expected {least}: give the whole file"
                )
        rng = np.random.RandomState(self.split_seed)  # as published: the same rows
        n_anomalies = max(1, int(len(inliers) * self.ratio / (1 - self.ratio)))
        anomalies = anomalies.iloc[rng.permutation(len(anomalies))[:n_anomalies]]
        if self.distinct:
            train = train.drop_duplicates(COLUMNS[:-1])
        of_inliers = encode(inliers)
        self.test = torch.from_numpy(np.concatenate([of_inliers, encode(anomalies)]))
        self.test_labels = (torch.arange(len(self.test)) >= len(inliers)).long()
        # the file is in the order of time: a random part of it
        held_out = of_inliers[rng.permutation(len(inliers))[: self.n_held_out]]
        return torch.from_numpy(encode(train)), torch.from_numpy(held_out)

    def setup(self, stage: str | None = None) -> None:
        if hasattr(self, "points"):
            return
        super().setup(stage)
        if self.scaling == "none":
            self.shift, self.scale = torch.zeros(self.shape), torch.ones(self.shape)
        elif self.scaling == "min_max":
            self.shift, high = self.points.aminmax(dim=0)
            self.scale = torch.where(high > self.shift, high - self.shift, 1.0)


def read(root: str) -> pd.DataFrame:
    """The file's rows: numbers, the categories as text, the label.

    Raises:
        InputError: the file is missing, damaged or another one.
    """
    file = Path(root, FILE)
    if not file.is_file():
        raise InputError(
            f"{FILE} is not in {Path(root).absolute()}: put it there from "
            "https://kdd.ics.uci.edu/databases/kddcup99/kddcup99.html, or from "
            "https://ndownloader.figshare.com/files/5976042, which scikit-learn's fetch_kddcup99 reads, "
            "or give data.root=FOLDER"
        )
    try:
        frame = pd.read_csv(file, header=None, dtype=dict.fromkeys(map(COLUMNS.index, CATEGORIES), str))
    except Exception as error:  # gzip, zlib and pandas raise whatever the damaged bytes lead to
        said = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"{file} cannot be read ({said}): get it anew") from error
    if frame.shape[1] != len(COLUMNS):
        raise InputError(
            f"{file} has {frame.shape[1]} columns, expected {len(COLUMNS)}, the label last: "
            "give the 10 % file"
        )
    frame.columns = COLUMNS
    for name, known in CATEGORIES.items():
        unknown = frame[name][~frame[name].isin(known)]
        if len(unknown):
            raise InputError(
                f"{file}: row {unknown.index[0] + 1}, column {name!r} holds {unknown.iloc[0]!r}, a category "
                f"that the 10 % file does not have: give {FILE} itself"
            )
    for name in NUMBERS:
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values)))
            raise InputError(
                f"{file}: row {row + 1}, column {name!r} holds {frame[name].iloc[row]!r}, expected a number: "
                "get it anew"
            )
        frame[name] = values
    return frame


def encode(frame: pd.DataFrame) -> Float32[np.ndarray, "N 121"]:
    """The 34 numbers of each row and, for each known category, 1 where it is the row's and 0 where not."""
    x = np.zeros((len(frame), len(FEATURES)), dtype=np.float32)
    x[:, : len(NUMBERS)] = frame[NUMBERS]
    first, rows = len(NUMBERS), np.arange(len(frame))
    for name, known in CATEGORIES.items():
        x[rows, first + pd.Index(known).get_indexer(frame[name])] = 1
        first += len(known)
    return x
