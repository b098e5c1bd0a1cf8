"""The gesture ontology: common names that the builders map their native labels to.

Each builder's `COMMON_NAMES` maps native -> common; a native label without an entry keeps its own
name. Native labels are what a record holds; the map is in the metadata of every built set, for
evaluation across datasets.
"""

REST = 'rest'
# Hand and wrist postures that several public sets share. 'fist' closes on nothing; the grips hold,
# or mime holding, an object (power: cylinder; tripod: thumb, index and middle, also "chuck").
COMMON = (
    REST, 'fist', 'open', 'wrist flexion', 'wrist extension', 'radial deviation',
    'ulnar deviation', 'pronation', 'supination', 'pinch', 'power grip', 'tripod grip',
    'lateral grip', 'point', 'thumb up', 'index flexion', 'index extension', 'middle flexion',
    'middle extension', 'ring flexion', 'ring extension', 'little flexion', 'little extension',
    'thumb flexion', 'thumb extension', 'thumb abduction', 'thumb adduction', 'thumb opposition')
