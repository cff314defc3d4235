"""Phantom scenes: procedural laparoscopic views, the embedded default data.

There are two operations (`operation`): a cholecystectomy with the classes of CholecSeg8k and a gastrectomy
with those of SISVSE. A video is planned (`schedule`), laid out (`video`, `anatomy`; `gastric_video`,
`gastric_anatomy`) and lit (`render`). Phantom figures say nothing about surgery; they are called phantom
wherever they are shown.
"""
