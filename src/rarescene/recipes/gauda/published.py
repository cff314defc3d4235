"""What the paper printed: shares from 0 to 1, hours and milliseconds.

The text of Tables 1 to 4 that we have is flat: "Augmentation (aug) ✓ ✓ ✓ Adaptive Sampling (AS) ✓ ✓ GAUDA
✓ ✓", then a name and six numbers a row. Three ticks, two and two over six columns, and what the text says
of them (aug harms PHiSeg; GAUDA + aug improves over GAUDA for the ensemble on CholecSeg8k; GAUDA or
GAUDA + aug is best for 10 of 13 and 15 of 17 classes with the ensemble, and 11 of 13 with PHiSeg), fit
one order alone: that of `COLUMNS`.

Where a printed label mean is not the mean of its column, rounding explains it (up to 0.001) but in Table 3:
aug has 0.753 and GAUDA 0.786 above columns of mean 0.752 and 0.776, which is hardly more than AS + aug has.
They are given as printed. And of the 17 classes there, GAUDA or GAUDA + aug is best for 10; the text says 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COLUMNS = ("none", "aug", "AS", "AS + aug", "GAUDA", "GAUDA + aug")
MEANS = ("label mean", "sample mean", "sample median")

CLASSES: Mapping[str, int] = MappingProxyType({"cholecseg8k": 13, "cadis": 17})  # section 4.1

Six = tuple[float, float, float, float, float, float]

# IoU of each class and means, a number for each of `COLUMNS`. Classes bear the names of our class tables: the
# paper writes out "Phacoemulsification Handpiece" and "Irrigation/Aspiration Handpiece".

# PHiSeg on CholecSeg8k.
TABLE_1: Mapping[str, Six] = MappingProxyType(
    {
        "abdominal wall": (0.935, 0.917, 0.942, 0.923, 0.962, 0.945),
        "black background": (0.964, 0.959, 0.974, 0.964, 0.994, 0.987),
        "blood": (0.678, 0.586, 0.718, 0.623, 0.707, 0.597),
        "connective tissue": (0.883, 0.842, 0.899, 0.856, 0.909, 0.872),
        "cystic duct": (0.801, 0.751, 0.817, 0.766, 0.819, 0.756),
        "fat": (0.919, 0.905, 0.929, 0.910, 0.948, 0.933),
        "gallbladder": (0.883, 0.850, 0.887, 0.854, 0.908, 0.876),
        "gastrointestinal tract": (0.833, 0.799, 0.832, 0.774, 0.862, 0.804),
        "grasper": (0.842, 0.812, 0.847, 0.804, 0.865, 0.823),
        "hepatic vein": (0.613, 0.229, 0.624, 0.385, 0.503, 0.316),
        "L-hook electrocautery": (0.883, 0.851, 0.890, 0.856, 0.907, 0.864),
        "liver": (0.925, 0.909, 0.932, 0.912, 0.953, 0.937),
        "liver ligament": (0.945, 0.934, 0.953, 0.946, 0.973, 0.964),
        "label mean": (0.854, 0.796, 0.865, 0.813, 0.870, 0.821),
        "sample mean": (0.899, 0.875, 0.907, 0.878, 0.926, 0.898),
        "sample median": (0.925, 0.907, 0.933, 0.913, 0.952, 0.935),
    }
)

# The U-Net ensemble on CholecSeg8k.
TABLE_2: Mapping[str, Six] = MappingProxyType(
    {
        "abdominal wall": (0.939, 0.931, 0.949, 0.947, 0.966, 0.965),
        "black background": (0.964, 0.961, 0.973, 0.973, 0.993, 0.993),
        "blood": (0.713, 0.685, 0.743, 0.718, 0.718, 0.727),
        "connective tissue": (0.894, 0.880, 0.909, 0.902, 0.918, 0.920),
        "cystic duct": (0.818, 0.797, 0.846, 0.841, 0.838, 0.836),
        "fat": (0.928, 0.922, 0.941, 0.936, 0.957, 0.958),
        "gallbladder": (0.891, 0.877, 0.908, 0.897, 0.915, 0.920),
        "gastrointestinal tract": (0.850, 0.826, 0.869, 0.855, 0.878, 0.879),
        "grasper": (0.852, 0.821, 0.872, 0.857, 0.871, 0.876),
        "hepatic vein": (0.325, 0.232, 0.463, 0.298, 0.287, 0.293),
        "L-hook electrocautery": (0.884, 0.863, 0.898, 0.890, 0.890, 0.906),
        "liver": (0.932, 0.924, 0.932, 0.940, 0.959, 0.960),
        "liver ligament": (0.950, 0.948, 0.961, 0.959, 0.977, 0.979),
        "label mean": (0.842, 0.821, 0.867, 0.847, 0.860, 0.862),
        "sample mean": (0.905, 0.892, 0.920, 0.912, 0.930, 0.932),
        "sample median": (0.931, 0.923, 0.944, 0.939, 0.958, 0.959),
    }
)

# PHiSeg on CaDISv2, Setting II.
TABLE_3: Mapping[str, Six] = MappingProxyType(
    {
        "cannula": (0.593, 0.560, 0.596, 0.613, 0.612, 0.543),
        "capsulorhexis cystotome": (0.572, 0.620, 0.549, 0.648, 0.569, 0.555),
        "capsulorhexis forceps": (0.473, 0.585, 0.589, 0.689, 0.641, 0.413),
        "cornea": (0.932, 0.925, 0.942, 0.935, 0.962, 0.953),
        "eye retractors": (0.768, 0.704, 0.787, 0.729, 0.784, 0.690),
        "hand": (0.756, 0.802, 0.803, 0.807, 0.830, 0.800),
        "I/A handpiece": (0.673, 0.729, 0.683, 0.752, 0.690, 0.761),
        "iris": (0.829, 0.812, 0.844, 0.823, 0.857, 0.833),
        "lens injector": (0.795, 0.788, 0.812, 0.786, 0.824, 0.794),
        "micromanipulator": (0.489, 0.541, 0.506, 0.559, 0.515, 0.475),
        "phaco handpiece": (0.740, 0.749, 0.716, 0.767, 0.761, 0.709),
        "primary knife": (0.752, 0.839, 0.770, 0.844, 0.795, 0.841),
        "pupil": (0.914, 0.909, 0.925, 0.921, 0.943, 0.931),
        "secondary knife": (0.775, 0.805, 0.823, 0.815, 0.852, 0.781),
        "skin": (0.870, 0.854, 0.882, 0.862, 0.897, 0.875),
        "surgical tape": (0.878, 0.851, 0.898, 0.863, 0.902, 0.878),
        "tissue forceps": (0.739, 0.709, 0.758, 0.758, 0.765, 0.734),
        "label mean": (0.738, 0.753, 0.758, 0.775, 0.786, 0.739),
        "sample mean": (0.829, 0.817, 0.843, 0.832, 0.857, 0.828),
        "sample median": (0.886, 0.867, 0.897, 0.875, 0.910, 0.884),
    }
)

# The U-Net ensemble on CaDISv2, Setting II.
TABLE_4: Mapping[str, Six] = MappingProxyType(
    {
        "cannula": (0.617, 0.690, 0.635, 0.699, 0.639, 0.702),
        "capsulorhexis cystotome": (0.597, 0.677, 0.601, 0.677, 0.611, 0.705),
        "capsulorhexis forceps": (0.539, 0.711, 0.545, 0.756, 0.478, 0.674),
        "cornea": (0.936, 0.939, 0.946, 0.948, 0.965, 0.967),
        "eye retractors": (0.798, 0.773, 0.815, 0.781, 0.827, 0.801),
        "hand": (0.849, 0.862, 0.858, 0.885, 0.884, 0.911),
        "I/A handpiece": (0.727, 0.761, 0.734, 0.767, 0.741, 0.778),
        "iris": (0.844, 0.851, 0.853, 0.861, 0.868, 0.879),
        "lens injector": (0.791, 0.821, 0.792, 0.802, 0.800, 0.816),
        "micromanipulator": (0.494, 0.542, 0.509, 0.582, 0.501, 0.589),
        "phaco handpiece": (0.743, 0.765, 0.744, 0.774, 0.749, 0.818),
        "primary knife": (0.843, 0.882, 0.855, 0.891, 0.889, 0.913),
        "pupil": (0.920, 0.926, 0.930, 0.936, 0.947, 0.955),
        "secondary knife": (0.865, 0.861, 0.855, 0.876, 0.889, 0.882),
        "skin": (0.878, 0.882, 0.887, 0.894, 0.905, 0.908),
        "surgical tape": (0.887, 0.883, 0.891, 0.895, 0.908, 0.912),
        "tissue forceps": (0.803, 0.782, 0.813, 0.794, 0.820, 0.810),
        "label mean": (0.772, 0.801, 0.780, 0.813, 0.789, 0.825),
        "sample mean": (0.846, 0.853, 0.855, 0.864, 0.870, 0.881),
        "sample median": (0.898, 0.903, 0.908, 0.912, 0.925, 0.928),
    }
)

# Table 5: FID, KID and its spread, RO IoU, SO IoU.
TABLE_5: Mapping[tuple[str, str], tuple[float, float, float, float, float]] = MappingProxyType(
    {
        ("LDM", "cadis"): (39.44, 0.033, 0.004, 0.755, 0.635),
        ("DatasetGAN", "cadis"): (66.99, 0.057, 0.009, 0.281, 0.213),
        ("LDM", "cholecseg8k"): (56.80, 0.041, 0.005, 0.731, 0.742),
        ("DatasetGAN", "cholecseg8k"): (65.40, 0.042, 0.007, 0.114, 0.145),
    }
)

# Table 6: training time in hours, inference in milliseconds for a single sample; averaged by the paper over
# data sets and segmenters. Its column "Num. Examples" has lost all numbers in the text that we have.
TABLE_6: Mapping[str, tuple[float | None, float]] = MappingProxyType(
    {
        "image VQ-GAN": (11.4, 4.0),
        "mask VQ-GAN": (20.8, 5.0),
        "LDM": (125.1, 36_891.0),
        "full model": (None, 36_895.0),
        "StyleGAN2": (36.9, 290.0),
        "StyleGAN encoder": (7.1, 9.0),
        "DatasetGAN": (0.25, 380.0),
        "segmenter, default": (15.3, 8.0),
        "segmenter, adaptive sampling": (18.3, 8.0),
        "segmenter, GAUDA": (22.6, 8.0),
    }
)
